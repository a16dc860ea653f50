/* Images, each pixel less 128, and the bytes that have to come out. Written by kmixer. */
#ifndef KMIXER_TEST_VECTORS_H_
#define KMIXER_TEST_VECTORS_H_

#include <stdint.h>

#include "model_data.h"

enum { kTestVectors = {{ inputs|length }} };

static const int8_t kTestInputs[kTestVectors][kModelInputs] = {
{% for image in inputs %}
    {
{{ image.ravel().tolist()|numbers }}
    },
{% endfor %}
};

static const int8_t kTestOutputs[kTestVectors][kModelClasses] = {
{% for output in outputs %}
    { {{- output.tolist()|join(", ") -}} },
{% endfor %}
};

#endif /* KMIXER_TEST_VECTORS_H_ */
