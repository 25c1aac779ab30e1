/* The encoder for AArch64 NEON. */
#include "format/compiler.h"

#if ZML_HAS_NEON
#include <arm_neon.h>
#include <stdint.h>

#define ZML_TARGET

#define lookup_16 lookup_16
ZML_TARGET_INLINE void lookup_16(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  const uint8x16_t levels = vld1q_u8(table);
  for (int k = 0; k < 4; k++) {
    const uint8x16_t i = vld1q_u8(index + 16 * k);
    vst1q_u8(found + 16 * k, vqtbl1q_u8(levels, i));
  }
}

/* Four tables of 64 entries; an index outside one leaves the byte as it is. */
#define lookup_256 lookup_256
ZML_TARGET_INLINE void lookup_256(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  for (int k = 0; k < 4; k++) {
    const uint8x16_t i = vld1q_u8(index + 16 * k);
    uint8x16_t bytes = vqtbl4q_u8(vld1q_u8_x4(table), i);
    bytes = vqtbx4q_u8(bytes, vld1q_u8_x4(table + 64), vsubq_u8(i, vdupq_n_u8(64)));
    bytes = vqtbx4q_u8(bytes, vld1q_u8_x4(table + 128), vsubq_u8(i, vdupq_n_u8(128)));
    bytes = vqtbx4q_u8(bytes, vld1q_u8_x4(table + 192), vsubq_u8(i, vdupq_n_u8(192)));
    vst1q_u8(found + 16 * k, bytes);
  }
}

#include "encoding/encode-inl.h"

const zml_encoding zml_encoding_neon = {ZML_ENCODING};
#endif
