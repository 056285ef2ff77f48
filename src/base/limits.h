/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Every limit on what the outside can make us keep or do, in one place, with its reason.
 * A module that needs another one adds it here.
 */
#define LIMIT_KIB(n) ((size_t)(n)*1024)
#define LIMIT_MIB(n) ((size_t)(n)*1024 * 1024)

/* A telemetry message: ours are 1.6 kB; the broker refuses larger ones before they cost memory. */
#define LIMIT_MESSAGE_BYTES LIMIT_KIB(256)
/* One line of the plant/app seam: what a telemetry message can hold, plus its envelope. */
#define LIMIT_SEAM_LINE_BYTES LIMIT_KIB(260)
/* A JSON document over HTTP that is no artifact. hawkBit has no such limit; 5000 assignments are 200 kB. */
#define LIMIT_JSON_BODY_BYTES LIMIT_MIB(8)
/* How deep JSON may nest anywhere. */
#define LIMIT_JSON_DEPTH 32
/* hawkBit: hawkbit.server.security.dos.maxArtifactSize, 1 GiB. */
#define LIMIT_ARTIFACT_BYTES LIMIT_MIB(1024)
/* HTTP head: the longest hawkBit request line seen is below 2 kB. */
#define LIMIT_HTTP_HEADER_BYTES LIMIT_KIB(16)
/* Names of things are MQTT client ids and certificate common names (X.520 ub-common-name is 64). */
#define LIMIT_THING_NAME_BYTES 64
/* A manifest.xml, a buildspec.yml, a policy, a rule. */
#define LIMIT_DOCUMENT_BYTES LIMIT_KIB(64)
/* An update package: unpacked size, one file, number of files, depth of folders. */
#define LIMIT_PACKAGE_UNPACKED_BYTES LIMIT_MIB(512)
#define LIMIT_PACKAGE_FILES 10000
#define LIMIT_PACKAGE_PATH_BYTES 512
/* A whole small file that we read into memory (keys, configuration, state). */
#define LIMIT_SMALL_FILE_BYTES LIMIT_MIB(1)
