// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// What the six subsystems' signals are called, in which unit and which of them belong into one strip.
// `span` is the least range of the value axis, so that noise doesn't fill a strip. A table or a column
// that isn't here (a seventh subsystem) is shown too: see stripsFor().

const line = (title, unit, columns, options = {}) => ({ kind: 'line', title, unit, columns, span: 1, ...options });
const lanes = (title, columns) => ({ kind: 'lanes', title, unit: '', columns });
const each = (n, prefix, member, label) =>
  Array.from({ length: n }, (_, i) => [`${prefix}${i + 1}.${member}`, `${label} ${i + 1}`]);

export const SUBSYSTEMS = [
  { table: 'Battery', title: 'Battery', strips: [
    line('Energy returned', 'Wh', [['EnergyAdded', 'Energy added']], { span: 2, digits: 1 }),
    line('State of charge', '%', [['StateOfCharge', 'Charge']], { span: 0.4, digits: 2 }),
    line('Battery temperature', '°C', [['BatteryTemperature', 'Temperature']], { span: 1, digits: 2 }),
  ] },
  { table: 'ABS', title: 'ABS', strips: [
    line('Disc temperature', '°C', each(4, 'Wheel', 'DiskTemperature', 'Wheel'), { span: 4, digits: 1 }),
    line('Brake pressure', 'bar', [['BrakePedalPressure', 'Pedal'], ['BrakeActualPressure', 'Actual']], { span: 2, zero: true }),
    line('Wheel speed', 'km/h', each(4, 'Wheel', 'Speed', 'Wheel'), { span: 10, digits: 1, zero: true }),
    line('Wheel brake pressure', 'bar', each(4, 'Wheel', 'Pressure', 'Wheel'), { span: 2, zero: true }),
    line('Fluid temperature', '°C', each(4, 'Wheel', 'FluidTemperature', 'Wheel'), { span: 2, digits: 1 }),
    lanes('Traction control', [['TractionControl', 'Active']]),
  ] },
  { table: 'Engine', title: 'Engine', strips: [
    line('Speed', 'km/h', [['Speed', 'Speed']], { span: 10, digits: 1, zero: true }),
    line('Power', 'kW', [['Power', 'Power']], { span: 5, digits: 1 }),
    line('Acceleration', 'm/s²', [['Acceleration', 'Acceleration']], { span: 1, digits: 2 }),
  ] },
  { table: 'AirConditioning', title: 'Air conditioning', strips: [
    line('Temperature', '°C', each(3, 'Zone', 'Temperature', 'Zone'), { span: 2, digits: 1 }),
    line('Humidity', '%', each(3, 'Zone', 'Humidity', 'Zone'), { span: 4, digits: 1 }),
    lanes('Switched on', each(3, 'Zone', 'State', 'Zone')),
  ] },
  { table: 'HeatSeats', title: 'Heated seats', strips: [
    line('Temperature', '°C', each(3, 'HeatedSeat', 'Temperature', 'Seat'), { span: 2, digits: 1 }),
    lanes('Switched on', each(3, 'HeatedSeat', 'State', 'Seat')),
  ] },
  { table: 'Airbag', title: 'Airbag', strips: [
    lanes('Passenger present', each(5, 'Seat', 'PassengerPresent', 'Seat')),
    lanes('Seatbelt fastened', each(5, 'Seat', 'SeatbeltFastened', 'Seat')),
    lanes('Armed', each(5, 'Seat', 'State', 'Seat')),
    lanes('Active', each(5, 'Seat', 'Active', 'Seat')),
    lanes('Triggered', each(5, 'Seat', 'Triggered', 'Seat')),
  ] },
];

const NOT_SIGNALS = new Set(['Update', 'Message', 'dead_letter']);
const PER_STRIP = 5;

// `Wheel3.Speed` → ['Speed', 'Wheel 3']: columns with the same last part and kind share a strip.
function unknownStrips(columns) {
  const groups = new Map();
  for (const { name, type } of columns) {
    const at = name.lastIndexOf('.');
    const key = `${name.slice(at + 1)} ${type}`;
    const list = groups.get(key) || [];
    groups.set(key, list);
    list.push([name, at < 0 ? name : name.slice(0, at).replace(/(\D)(\d+)$/, '$1 $2'), type]);
  }
  const strips = [];
  for (const [key, list] of groups) {
    const title = key.slice(0, key.lastIndexOf(' ')).replace(/([a-z])([A-Z])/g, '$1 $2');
    for (let i = 0; i < list.length; i += PER_STRIP) {
      const part = list.slice(i, i + PER_STRIP).map(([name, label]) => [name, label]);
      strips.push(list[0][2] === 'boolean' ? lanes(title, part) : line(title, '', part, { span: 0 }));
    }
  }
  return strips;
}

// The subsystems of a car: the known ones in their order with what else their tables hold, then the
// others. `tables` is {name: [{name, type}]} of the store, which has all cars' tables, and `last` this
// car's newest rows; before there are any, the known subsystems.
export function subsystemsFor(tables, last) {
  const result = [];
  for (const known of SUBSYSTEMS) {
    const columns = tables[known.table];
    if (!columns) {
      result.push(known);
      continue;
    }
    const has = new Set(columns.map((c) => c.name));
    const strips = known.strips.map((s) => ({ ...s, columns: s.columns.filter(([name]) => has.has(name)) }))
      .filter((s) => s.columns.length);
    const named = new Set(strips.flatMap((s) => s.columns.map(([name]) => name)));
    result.push({ ...known, strips: strips.concat(unknownStrips(columns.filter((c) => !named.has(c.name)))) });
  }
  for (const [table, columns] of Object.entries(tables)) {
    if (NOT_SIGNALS.has(table) || SUBSYSTEMS.some((s) => s.table === table) || !columns.length || !(table in last)) continue;
    result.push({ table, title: table.replace(/([a-z])([A-Z])/g, '$1 $2'), strips: unknownStrips(columns) });
  }
  return result;
}

export const columnsOf = (subsystem) => subsystem.strips.flatMap((s) => s.columns.map(([name]) => name));
