// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The query language of the filters: quoting, and what a plain word means.
const OPERATOR = /(==|!=|=\w+=|[<>]=?)/;

export function quote(text) {
  return `"${String(text).replace(/[\\"]/g, '\\$&')}"`;
}

export const isQuery = (text) => OPERATOR.test(text);

// A word is looked for in `fields`; anything with an operator is a query as it stands.
export function toQuery(text, fields) {
  const trimmed = text.trim();
  if (!trimmed || isQuery(trimmed)) return trimmed;
  return fields.map((field) => `${field}==${quote(`*${trimmed.replaceAll('*', '')}*`)}`).join(',');
}

// All of them must hold.
export function both(...queries) {
  const given = queries.filter(Boolean);
  return given.length < 2 ? given.join('') : given.map((q) => `(${q})`).join(';');
}
