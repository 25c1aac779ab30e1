/* The encoder in plain C, for every processor. */
#define ZML_TARGET
#include "encode_functions.h"

const zml_encoding zml_encoding_portable = {ZML_ENCODING};
