/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* The last step of a request: its answer or its problem as bytes, in the flavour that was asked
 * for. */
struct request;
void answer(struct request *q);
