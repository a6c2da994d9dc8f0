/* Many predictions on several threads that share one model: memory must not grow, and the counter of draws
 * passes 2^32.
 *
 * long_run MODEL PREDICTIONS THREADS */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stf_bnn.h"

static stf_model model;
static uint64_t predictions;
static size_t values;

static void check(stf_status status, const char *what) {
  if (status != STF_STATUS_OK) {
    fprintf(stderr, "%s: %s\n", what, stf_status_text(status));
    exit(1);
  }
}

/* Pages of this process in memory. */
static long resident(void) {
  long total = 0, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &total, &pages) != 2) {
    fprintf(stderr, "/proc/self/statm: cannot be read\n");
    exit(1);
  }
  fclose(file);
  return pages;
}

struct job {
  pthread_t thread;
  uint64_t first;
  uint64_t count;
  /* A hash of every result. */
  uint64_t hash;
};

/* Predicts with counters first .. first + count. */
static void *work(void *argument) {
  struct job *job = argument;
  stf_predictor predictor;
  stf_config config;
  stf_prediction prediction;
  size_t bytes = 0;
  uint64_t counter = 0;
  uint8_t *input = calloc(values, 1);
  uint8_t *workspace = NULL;
  uint64_t n;
  memset(&predictor, 0, sizeof predictor);
  check(stf_config_init(&config), "stf_config_init");
  config.num_samples = 2;
  check(stf_workspace_size(&model, &config, &bytes), "stf_workspace_size");
  workspace = malloc(bytes);
  if (input == NULL || workspace == NULL) {
    fprintf(stderr, "out of memory\n");
    exit(1);
  }
  check(stf_predictor_init(&predictor, &model, &config, workspace, bytes), "stf_predictor_init");
  check(stf_predictor_set_counter(&predictor, job->first), "stf_predictor_set_counter");
  job->hash = 14695981039346656037u;
  for (n = 0; n < job->count; n++) {
    uint32_t word;
    input[n % values] = (uint8_t)(n * 31);
    check(stf_predict_u8(&predictor, input, values, &prediction), "stf_predict_u8");
    memcpy(&word, &prediction.mean[0], sizeof word);
    job->hash = (job->hash ^ word) * 1099511628211u;
  }
  check(stf_predictor_counter(&predictor, &counter), "stf_predictor_counter");
  if (counter != job->first + job->count) {
    fprintf(stderr, "counter: found %llu\n", (unsigned long long)counter);
    exit(1);
  }
  free(workspace);
  free(input);
  return NULL;
}

/* All predictions, on so many threads. */
static uint64_t run(unsigned threads, uint64_t first, uint64_t count) {
  struct job *jobs = calloc(threads, sizeof *jobs);
  uint64_t hash = 0;
  unsigned i;
  for (i = 0; i < threads; i++) {
    jobs[i].first = first;
    jobs[i].count = count / threads;
    if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) != 0) {
      fprintf(stderr, "pthread_create failed\n");
      exit(1);
    }
  }
  for (i = 0; i < threads; i++) {
    pthread_join(jobs[i].thread, NULL);
    if (i > 0 && jobs[i].hash != hash) {
      fprintf(stderr, "thread %u: other results than thread 0\n", i);
      exit(1);
    }
    hash = jobs[i].hash;
  }
  free(jobs);
  return hash;
}

int main(int argc, char **argv) {
  stf_model_info info;
  unsigned threads;
  uint64_t per_thread, first;
  long size, before, after;
  uint8_t *bytes;
  FILE *file;
  if (argc != 4) {
    fprintf(stderr, "usage: long_run MODEL PREDICTIONS THREADS\n");
    return 2;
  }
  predictions = strtoull(argv[2], NULL, 10);
  threads = (unsigned)strtoul(argv[3], NULL, 10);
  file = fopen(argv[1], "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || threads == 0) {
    fprintf(stderr, "%s: cannot be read\n", argv[1]);
    return 1;
  }
  rewind(file);
  bytes = aligned_alloc(STF_ARTIFACT_ALIGNMENT, ((size_t)size + 15) / 16 * 16);
  if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
    fprintf(stderr, "%s: cannot be read\n", argv[1]);
    return 1;
  }
  fclose(file);
  check(stf_model_load(&model, bytes, (size_t)size), "stf_model_load");
  check(stf_model_describe(&model, &info), "stf_model_describe");
  values = (size_t)info.input_height * info.input_width * info.input_channels;
  per_thread = predictions / threads;
  /* Half of the predictions on either side of 2^32. */
  first = ((uint64_t)1 << 32) - per_thread / 2;
  /* Stacks and heaps of threads are made before the memory is measured. */
  run(threads, first, (uint64_t)threads * 1000);
  before = resident();
  run(threads, first, per_thread * threads);
  after = resident();
  printf("{\"predictions\": %llu, \"threads\": %u, \"first_counter\": %llu, \"last_counter\": %llu, "
         "\"resident_pages_before\": %ld, \"resident_pages_after\": %ld}\n",
         (unsigned long long)(per_thread * threads), threads, (unsigned long long)first,
         (unsigned long long)(first + per_thread), before, after);
  /* A few pages are the C library's own. */
  if (after > before + 16) {
    fprintf(stderr, "memory grew from %ld to %ld pages\n", before, after);
    return 1;
  }
  free(bytes);
  return 0;
}
