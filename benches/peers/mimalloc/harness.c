// Peer: mimalloc. The workloads of ../../workload/src/lib.rs in C, because mimalloc comes from zig's compiler.
#include <mimalloc.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))

EXPORT(pairs) uint32_t pairs(uint32_t iterations, uint32_t size) {
  for (uint32_t done = 0; done < iterations; done++) {
    volatile uint32_t *block = mi_malloc(size);
    if (!block) return iterations - done;
    *block = done;
    mi_free((void *)block);
  }
  return 0;
}

EXPORT(churn) uint32_t churn(uint32_t iterations, uint32_t seed) {
  void *blocks[256] = {0};
  uint32_t random = seed | 1, not_done = 0;
  for (uint32_t done = 0; done < iterations; done++) {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    uint32_t place = random & 255, size = 16 + (random >> 8) % 497;
    if (blocks[place]) mi_free(blocks[place]);
    volatile uint32_t *block = blocks[place] = mi_malloc(size);
    if (!block) {
      not_done = iterations - done;
      break;
    }
    *block = random;
  }
  for (int place = 0; place < 256; place++)
    if (blocks[place]) mi_free(blocks[place]);
  return not_done;
}
