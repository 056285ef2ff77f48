/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/source_pipeline.h"

#include "base/limits.h"
#include "cloud/pipeline/pipeline.h"
#include "cloud/viewer/generation.h"
#include "cloud/viewer/source_log.h"

#define RUNS_SHOWN 30

json_t *source_pipeline_read(const struct cloud_config *config, struct err *err)
{
        CLEAN_JSON json_t *pipelines = pipeline_list(config, err);
        CLEAN_JSON json_t *runs = pipelines ? pipeline_runs(config, NULL, RUNS_SHOWN, err) : NULL;
        return runs ? json_pack("{s:O, s:O}", "pipelines", pipelines, "runs", runs) : NULL;
}

uint64_t source_pipeline_generation(const struct cloud_config *config)
{
        CLEAN_MEM char *path = cloud_path(config, CLOUD_PIPELINE_DIR "/pipeline.db");
        return path ? generation_of_db(path) : 0;
}

json_t *source_pipeline_run(
        const struct cloud_config *config, int64_t run, const char *stage, struct err *err)
{
        CLEAN_JSON json_t *document = pipeline_run(config, run, err);
        CLEAN_BUF struct buf why = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        CLEAN_MEM char *path = NULL;
        CLEAN_JSON json_t *log = NULL;
        if (!document || pipeline_why(config, run, &why, err) < 0)
                return NULL;
        if (pipeline_log(config, run, stage, &path, NULL) ==
                0) /* a stage that hasn't begun has none */
                log = source_log_file(path, LIMIT_VIEWER_LOG_LINES, NULL);
        if (!log)
                log = json_array();
        return json_pack("{s:O, s:s, s:O}", "run", document, "why", buf_text(&why), "log", log);
}
