// The operators of the model: no other kernel has to be linked. Written by kmixer.
#ifndef KMIXER_MODEL_OPERATORS_H_
#define KMIXER_MODEL_OPERATORS_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using ModelOpResolver = tflite::MicroMutableOpResolver<{{ methods|length }}>;

inline TfLiteStatus RegisterModelOperators(ModelOpResolver& resolver) {
{% for method in methods %}
  if (resolver.{{ method }}() != kTfLiteOk) return kTfLiteError;
{% endfor %}
  return kTfLiteOk;
}

#endif  // KMIXER_MODEL_OPERATORS_H_
