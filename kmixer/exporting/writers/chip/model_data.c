/* model.tflite as an array; TensorFlow Lite Micro reads it where it lies. Written by kmixer. */
#include "model_data.h"

#include <stdalign.h>

alignas(16) const unsigned char kModelData[kModelBytes] = {
{{ content|list|numbers }}
};

const char* const kModelLabels[kModelClasses] = {
{% for label in labels %}
    {{ label|c_string }},
{% endfor %}
};
