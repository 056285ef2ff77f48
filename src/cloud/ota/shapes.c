/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/handlers.h"

static const struct shape id_members[] = {{.name = "id", .type = SHAPE_LONG}, {0}};
const struct shape shape_id_object[] = {{.type = SHAPE_OBJECT, .sub = id_members}};
const struct shape shape_id_array[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = shape_id_object}};

static const struct shape text[] = {{.type = SHAPE_TEXT}};
const struct shape shape_text_array[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = text}};

const struct shape shape_text_array_or_none[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY | SHAPE_OPTIONAL, .sub = text}};

static const struct shape number[] = {{.type = SHAPE_LONG}};
const struct shape shape_number_array[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = number}};
