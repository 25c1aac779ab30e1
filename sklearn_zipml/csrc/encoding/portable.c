/* The encoder in plain C, for every processor. */
#define ZML_TARGET
#include "encoding/encode-inl.h"

const zml_encoding zml_encoding_portable = {ZML_ENCODING};
