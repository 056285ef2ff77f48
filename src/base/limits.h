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
/* A JSON document over HTTP that is no artifact. hawkBit has no such limit; 5000 assignments are
 * 200 kB. */
#define LIMIT_JSON_BODY_BYTES LIMIT_MIB(8)
/* How deep JSON may nest anywhere. */
#define LIMIT_JSON_DEPTH 32
/* hawkBit: hawkbit.server.security.dos.maxArtifactSize, 1 GiB. */
#define LIMIT_ARTIFACT_BYTES LIMIT_MIB(1024)
/* An answer that the command line takes: 500 distribution sets with 100 modules each. */
#define LIMIT_API_ANSWER_BYTES LIMIT_MIB(64)
/* HTTP head: the longest hawkBit request line seen is below 2 kB. */
#define LIMIT_HTTP_HEADER_BYTES LIMIT_KIB(16)
/* Fields of one head; browsers send 20, proxies add some. */
#define LIMIT_HTTP_FIELDS 100
/* An answer from memory: a head of 400 bytes and the body of a poll. */
#define LIMIT_HTTP_QUICK_BYTES LIMIT_KIB(4)
/* A client that stands still for so long within a request or an answer is cut. */
#define LIMIT_HTTP_STALL_MS 20000
/* Bytes a second that a body must come with, and an answer be read with, on average: below the
 * slowest GPRS. Slower ones are there to hold connections. */
#define LIMIT_HTTP_MIN_IN_RATE 512
#define LIMIT_HTTP_MIN_OUT_RATE 256
/* Open connections: each costs 1 kB, with TLS 30 kB. And files that are left for all else. */
#define LIMIT_HTTP_CONNECTIONS ((size_t)10000)
#define LIMIT_HTTP_SPARE_FILES ((size_t)128)
/* What one address may do unless driveline.conf says otherwise; requests a second as hawkBit's
 * hawkbit.server.security.dos.filter has them. */
#define LIMIT_PEER_CONNECTIONS 100
#define LIMIT_PEER_READS 200
#define LIMIT_PEER_WRITES 50
/* Names of things are MQTT client ids and certificate common names (X.520 ub-common-name is 64). */
#define LIMIT_THING_NAME_BYTES 64
/* A manifest.xml, a buildspec.yml, a policy, a rule. */
#define LIMIT_DOCUMENT_BYTES LIMIT_KIB(64)
/* An update package: unpacked size, one file, number of files, depth of folders. */
#define LIMIT_PACKAGE_UNPACKED_BYTES LIMIT_MIB(512)
#define LIMIT_PACKAGE_FILES 10000
#define LIMIT_PACKAGE_PATH_BYTES 512
#define LIMIT_PACKAGE_DEPTH 32
/* A whole small file that we read into memory (keys, configuration, state). */
#define LIMIT_SMALL_FILE_BYTES LIMIT_MIB(1)
/* An MQTT topic is at most 65 535 bytes; ours are below 100, and a reader's buffer needs a ceiling.
 */
#define LIMIT_TOPIC_BYTES LIMIT_KIB(1)
/* Elements of a manifest in one another; ours has two levels. */
#define LIMIT_XML_DEPTH 16
/* One text of a manifest, and the words of a command in it. */
#define LIMIT_MANIFEST_FIELD_BYTES LIMIT_KIB(4)
#define LIMIT_COMMAND_WORDS 64
/* A text of a DDI document (a link, a name; hawkBit's names end at 128), and the parts of a
 * deployment. */
#define LIMIT_DDI_TEXT_BYTES LIMIT_KIB(2)
#define LIMIT_DDI_ITEMS 64
/* A policy: statements; actions or resources in one; bytes of a resource (MQTT topics of ours are
 * below 100). */
#define LIMIT_POLICY_STATEMENTS 64
#define LIMIT_POLICY_ITEMS 64
#define LIMIT_POLICY_RESOURCE_BYTES 512
/* Policies attached to one thing, and the versions of a policy that are kept. */
#define LIMIT_POLICIES_PER_THING 10
#define LIMIT_POLICY_VERSIONS 5
/* The broker's snapshot of who may do what: about 200 bytes a certificate. */
#define LIMIT_ACCESS_BYTES LIMIT_MIB(64)
/* The viewer: cars listed, rows of one page of the list, points and columns of one series request.
 */
#define LIMIT_VIEWER_DEVICES 100000
#define LIMIT_VIEWER_FLEET_ROWS 200
#define LIMIT_VIEWER_POINTS 4000
#define LIMIT_VIEWER_COLUMNS 32
/* Open event streams: a browser tab has one. Each may hold 1 MiB that its client has not read. */
#define LIMIT_VIEWER_STREAMS 64
/* Records looked through for a client that comes back; further behind, it loads its history again.
 */
#define LIMIT_VIEWER_REPLAY_RECORDS 20000
/* Log lines of one answer, and updates of one car. */
#define LIMIT_VIEWER_LOG_LINES 1000
#define LIMIT_VIEWER_UPDATES 200
/* A buildspec.yml: commands and file patterns in it. */
#define LIMIT_BUILD_COMMANDS 100
#define LIMIT_BUILD_PATTERNS 100
/* A build: output that is kept, one file, its whole folder, its private /tmp; and the package. */
#define LIMIT_BUILD_LOG_BYTES LIMIT_MIB(4)
#define LIMIT_BUILD_FILE_BYTES LIMIT_MIB(512)
#define LIMIT_BUILD_DISK_BYTES LIMIT_MIB(2048)
#define LIMIT_BUILD_TMP_BYTES LIMIT_MIB(256)
#define LIMIT_BUILD_PACKAGE_BYTES LIMIT_MIB(64)
/* Pipelines that build at the same time: builds are heavy, and the cars' data comes first. */
#define LIMIT_PIPELINE_PARALLEL 2
/* A push to a pipeline's repository. */
#define LIMIT_PUSH_BYTES LIMIT_MIB(256)
/* One flattened message: ours has 62 columns in 6 subsystems. */
#define LIMIT_TELEMETRY_COLUMNS 1024
#define LIMIT_TELEMETRY_GROUPS 64
/* Names of subsystems and columns become names in SQL; ours are below 24 bytes. */
#define LIMIT_TELEMETRY_NAME_BYTES 128
#define LIMIT_VERSION_BYTES 64
/* What all devices together can make the store create. SQLite's own limit is 2000 columns a table.
 */
#define LIMIT_STORE_TABLES 256
#define LIMIT_STORE_COLUMNS 1000
/* Refused messages that are kept, and how much of each, so that rubbish cannot fill the disk. */
#define LIMIT_DEAD_LETTERS 10000
#define LIMIT_DEAD_LETTER_BYTES LIMIT_KIB(4)
/* Rules, and how deep and long the expression of one may be. */
#define LIMIT_RULES 256
#define LIMIT_RULE_NODES 256
#define LIMIT_RULE_DEPTH 64
/* A drive cycle: an hour at 10 Hz is 36 000 points of some 20 bytes. */
#define LIMIT_CYCLE_POINTS 200000
#define LIMIT_CYCLE_BYTES LIMIT_MIB(8)
/* Things that wait for a hint to poll the update server: a rollout's group, at about 100 bytes
 * each. */
#define LIMIT_HINTS 20000
/* Feedback that waits for an update server that doesn't take it. */
#define LIMIT_DDI_LETTERS 32

/* The update server's quotas are hawkBit's (hawkbit.server.security.dos.*), so that clients meet
 * the same walls. */
#define LIMIT_OTA_POLL_CACHE_BYTES                                                                 \
        LIMIT_MIB(256) /* answers to idle polls; a million cars' are 200 MB */
/* Uploads on their way in: each may take LIMIT_ARTIFACT_BYTES of the disk before its sender is known.
 */
#define LIMIT_OTA_UPLOADS 8
#define LIMIT_OTA_PER_PARENT 100 /* modules of a set; metadata and attributes of one entity */
#define LIMIT_OTA_TYPES_PER_TYPE 50
#define LIMIT_OTA_ARTIFACTS_PER_MODULE 50
#define LIMIT_OTA_STORAGE_BYTES (INT64_C(20) * 1024 * 1024 * 1024) /* of a tenant */
#define LIMIT_OTA_ACTIONS_PER_TARGET 2000
#define LIMIT_OTA_STATUS_PER_ACTION 1000
#define LIMIT_OTA_MESSAGES_PER_STATUS 50
#define LIMIT_OTA_ASSIGNMENTS 5000 /* in one request */
#define LIMIT_OTA_GROUPS_PER_ROLLOUT 500
#define LIMIT_OTA_TARGETS_PER_GROUP 20000
#define LIMIT_OTA_TARGETS_PER_FILTER 20000 /* of an auto-assignment when it is set */
/* Events that are kept for those who follow them, of each tenant: some 4 MB. */
#define LIMIT_OTA_EVENTS 20000
/* Open event streams; web-hooks of a tenant; hooks that are sent to at the same time; events in one
 * request to a hook. */
#define LIMIT_OTA_EVENT_STREAMS 64
#define LIMIT_OTA_HOOKS 16
#define LIMIT_OTA_HOOKS_AT_ONCE 16
#define LIMIT_OTA_HOOK_BATCH 100
/* Actions whose deadline is looked at in one round of the scheduler: some 20 ms of work. */
#define LIMIT_OTA_DUE_PAGE 500
/* What is done to many actions goes by pages, each one transaction: about 20 us an action, so that
 * a poll waits less than 50 ms for the longest of them. */
#define LIMIT_OTA_BULK_PAGE 2000
/* Rollouts, filters and sets that have a pass to come; what doesn't fit waits for the next round.
 */
#define LIMIT_OTA_DUE 1000
/* A stored password: scrypt's N as a power of two, r and p. 16 MiB and 50 to 80 ms of a core of the
 * build machine for each check; the ceiling is what a stored hash with other parameters may take.
 */
#define LIMIT_PASSWORD_LOG_N 14
#define LIMIT_PASSWORD_R 8
#define LIMIT_PASSWORD_P 1
#define LIMIT_PASSWORD_MEMORY LIMIT_MIB(128)
#define LIMIT_PASSWORD_MIN_BYTES 8
#define LIMIT_PASSWORD_BYTES 256
/* Passwords that wait for the one worker that checks them: 32 are some 2 s of work, 8 of one
 * address leave room for others. */
#define LIMIT_LOGIN_QUEUE 32
#define LIMIT_LOGIN_QUEUE_PER_PEER 8
/* A password that was right needs no new check for so long; a changed one does at once. */
#define LIMIT_LOGIN_REMEMBER_MS 300000
/* Wrong passwords for one name from one address: ten at once, then one every 6 s. */
#define LIMIT_LOGIN_FAILURES 10
#define LIMIT_LOGIN_PAUSE_MS 6000
/* Users made in one request: each costs the worker a hash. */
#define LIMIT_OTA_USERS_PER_REQUEST 10
/* Users and API tokens of a tenant: far above any team, and a bound on what an administrator's
 * script can pile up. */
#define LIMIT_OTA_USERS 1000
#define LIMIT_OTA_TOKENS 1000
/* A gateway's message: a report with 50 messages of a few lines is 20 kB. */
#define LIMIT_DMF_MESSAGE_BYTES LIMIT_MIB(1)
/* Targets that wait to be looked at for their gateways, some 60 bytes each; beyond that all are. */
#define LIMIT_DMF_WAITING 20000
/* What an update must leave free on the car's disk: the spool and the log go on. */
#define LIMIT_UPDATE_SPARE_BYTES LIMIT_MIB(4)
/* PostgreSQL behind the update server: making a connection, one statement, waiting for another
 * server's unit, a unit in which nothing happens, and any answer at all (beyond a statement's own
 * limit, so that the server is the one to say it). The loop serves nobody else meanwhile. */
#define LIMIT_DATABASE_CONNECT_MS 5000
#define LIMIT_DATABASE_STATEMENT_MS 30000
#define LIMIT_DATABASE_LOCK_MS 10000
#define LIMIT_DATABASE_IDLE_MS 30000
#define LIMIT_DATABASE_ANSWER_MS 35000
/* No new try to connect sooner after one that failed: requests are refused at once instead. */
#define LIMIT_DATABASE_RETRY_MS 1000
/* How often a request is run again because another server's work came between. */
#define LIMIT_DATABASE_RUNS 5
