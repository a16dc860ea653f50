/* An image classifier in C99 (and C++): {{ shape[0] }} x {{ shape[1] }} pixels of {{ shape[2] }} channel{{ "s" if shape[2] > 1 }} -> {{ labels|length }} classes.
 *
 * Needs math.h, stdint.h and string.h, no heap, no other file. In ONE of your C files write
 *
 *     #define {{ NAME }}_IMPLEMENTATION
 *     #include "model.h"
 *
 * and in the others the second line alone. Compile that file with -O3 and link with -lm.
 *
 *     static float scratch[{{ NAME }}_SCRATCH_BYTES / sizeof(float)];
 *     float probabilities[{{ NAME }}_CLASSES];
 *     int best = {{ name }}_predict(image, probabilities, scratch);
 *     puts({{ name }}_class_names[best]);
{% if answers %}
 *
 * {{ name }}_may_be and {{ name }}_knows read those probabilities: which classes it may be, and
 * whether the model knows such images at all.
{% endif %}
 *
 * image: {{ NAME }}_IMAGE_BYTES bytes, row by row from the top, the channels of a pixel next to each
 * other, 0 to 255 as in image files; the model normalises them itself. Calls with different scratch
 * memory may run at the same time. Weights: {{ "{:,}".format(weights) }} numbers, {{ "{:,}".format(4 * weights) }} bytes.
 *
 * Written by kmixer {{ version }}, verified against Keras: see manifest.json.
 */
#ifndef {{ NAME }}_H
#define {{ NAME }}_H

#include <stdint.h>

#define {{ NAME }}_IMAGE_ROWS {{ shape[0] }}
#define {{ NAME }}_IMAGE_COLUMNS {{ shape[1] }}
#define {{ NAME }}_IMAGE_CHANNELS {{ shape[2] }}
#define {{ NAME }}_IMAGE_BYTES {{ shape[0] * shape[1] * shape[2] }}
#define {{ NAME }}_CLASSES {{ labels|length }}
#define {{ NAME }}_SCRATCH_BYTES {{ 4 * plan.size }}
#define {{ NAME }}_WEIGHTS_SHA256 "{{ sha256 }}"

#ifdef __cplusplus
extern "C" {
#endif

/* The names of the classes in UTF-8, in the order of the probabilities. */
extern const char *const {{ name }}_class_names[{{ NAME }}_CLASSES];

/* Write the probability of each class, and return the number of the most probable one. */
int {{ name }}_predict(const uint8_t *image, float *probabilities, float *scratch);
{% if answers %}

/* Write 1 for each class that the image may be and 0 for the others; return how many it may be. Of
 * the images of a class, {{ answers.percent }} of 100 get it among them. */
int {{ name }}_may_be(const float *probabilities, uint8_t *classes);

/* 1, or 0 where the image is none like those that the model was trained on: "I do not know this". */
int {{ name }}_knows(const float *probabilities);
{% endif %}

#ifdef __cplusplus
}
#endif

#endif /* {{ NAME }}_H */

#if defined({{ NAME }}_IMPLEMENTATION) && !defined({{ NAME }}_IMPLEMENTED)
#define {{ NAME }}_IMPLEMENTED

#include <math.h>
#include <string.h>

#ifdef __cplusplus
#define {{ NAME }}_RESTRICT __restrict
extern "C" {
#else
#define {{ NAME }}_RESTRICT restrict
#endif

const char *const {{ name }}_class_names[{{ NAME }}_CLASSES] = {
{% for label in labels %}
    {{ label }},
{% endfor %}
};

/* The steps. Arrays are row-major: the last size is that of neighbours in memory. */

/* y = the levels of an image, as float. */
static void {{ name }}_pixels(const uint8_t *image, int count, float *y)
{
    for (int i = 0; i < count; i++) y[i] = (float)image[i];
}

{% if "affine" in kinds %}
/* x (outer, n, inner) = x * scale (n) + offset (n). */
static void {{ name }}_affine(float *x, int outer, int n, int inner, const float *scale, const float *offset)
{
    for (int o = 0; o < outer; o++)
        for (int j = 0; j < n; j++, x += inner)
            for (int i = 0; i < inner; i++) x[i] = x[i] * scale[j] + offset[j];
}

{% endif %}
{% if "pad" in kinds %}
/* y (to_rows, to_columns, channels) = x with `top` rows and `left` columns of zeros before it, or so
 * many taken away where they are below 0; what lies outside of y is left out. */
static void {{ name }}_pad(const float *x, int rows, int columns, int channels, int top, int left,
    float *y, int to_rows, int to_columns)
{
    const int first = left < 0 ? -left : 0;
    const int end = columns + left > to_columns ? to_columns - left : columns;
    memset(y, 0, sizeof(float) * (size_t)(to_rows * to_columns * channels));
    for (int r = 0; r < rows; r++)
        if (r + top >= 0 && r + top < to_rows)
            memcpy(y + ((r + top) * to_columns + first + left) * channels,
                x + (r * columns + first) * channels, sizeof(float) * (size_t)((end - first) * channels));
}

{% endif %}
{% if "patches" in kinds or "convolution" in kinds %}
/* y (count, size, size, channels) = a row of squares of x (size rows, columns, channels). */
static void {{ name }}_patch_row(const float *x, int columns, int channels, int size, int stride, int count,
    float *y)
{
    const int width = size * channels;
    for (int p = 0; p < count; p++)
        for (int r = 0; r < size; r++, y += width)
            memcpy(y, x + (r * columns + p * stride) * channels, sizeof(float) * (size_t)width);
}

{% endif %}
{% if "patches" in kinds %}
/* y (to_rows, to_columns, size, size, channels) = the squares of x (rows, columns, channels). */
static void {{ name }}_patches(const float *x, int columns, int channels, int size, int stride,
    float *y, int to_rows, int to_columns)
{
    for (int r = 0; r < to_rows; r++, x += stride * columns * channels)
        {{ name }}_patch_row(x, columns, channels, size, stride, to_columns,
            y + r * to_columns * size * size * channels);
}

{% endif %}
/* y (16) += a[0] * w0 (16) + a[1] * w1 (16) + a[2] * w2 (16) + a[3] * w3 (16). A loop of sixteen over
 * arrays that do not overlap becomes vectors with -O2 already. */
static inline void {{ name }}_add_block(const float *a, const float *{{ NAME }}_RESTRICT w0,
    const float *{{ NAME }}_RESTRICT w1, const float *{{ NAME }}_RESTRICT w2,
    const float *{{ NAME }}_RESTRICT w3, float *{{ NAME }}_RESTRICT y)
{
    for (int c = 0; c < 16; c++) y[c] += a[0] * w0[c] + a[1] * w1[c] + a[2] * w2[c] + a[3] * w3[c];
}

/* y (columns) += x (inner numbers, `step` apart) times w (inner, columns), four rows of w at a time. */
static void {{ name }}_add_product(int inner, int columns, const float *x, int step, const float *w, float *y)
{
    int k = 0;
    for (; k + 4 <= inner; k += 4, x += 4 * step, w += 4 * columns) {
        const float a[4] = {x[0], x[step], x[2 * step], x[3 * step]};
        const float *w1 = w + columns, *w2 = w1 + columns, *w3 = w2 + columns;
        int c = 0;
        for (; c + 16 <= columns; c += 16) {{ name }}_add_block(a, w + c, w1 + c, w2 + c, w3 + c, y + c);
        for (; c < columns; c++) y[c] += a[0] * w[c] + a[1] * w1[c] + a[2] * w2[c] + a[3] * w3[c];
    }
    for (; k < inner; k++, x += step, w += columns)
        for (int c = 0; c < columns; c++) y[c] += x[0] * w[c];
}

{% if "dense" in kinds or "convolution" in kinds %}
/* y (rows, m) = x (rows, n) x kernel (n, m) + bias (m). */
static void {{ name }}_dense(const float *x, int rows, int n, int m, const float *kernel, const float *bias,
    float *y)
{
    for (int r = 0; r < rows; r++, x += n, y += m) {
        for (int j = 0; j < m; j++) y[j] = bias ? bias[j] : 0.0f;
        {{ name }}_add_product(n, m, x, 1, kernel, y);
    }
}

{% endif %}
{% if "dense_along" in kinds %}
/* y (outer, m, inner): y[o] = kernel (n, m), transposed, x x[o] (n, inner) + bias (m). */
static void {{ name }}_dense_along(const float *x, int outer, int n, int inner, int m, const float *kernel,
    const float *bias, float *y)
{
    for (int o = 0; o < outer; o++, x += n * inner)
        for (int j = 0; j < m; j++, y += inner) {
            for (int i = 0; i < inner; i++) y[i] = bias ? bias[j] : 0.0f;
            {{ name }}_add_product(n, inner, kernel + j, m, x, y);
        }
}

{% endif %}
{% if "convolution" in kinds %}
/* y (to_rows, to_columns, filters) = each square of x (rows, columns, channels) x kernel + bias. */
static void {{ name }}_convolution(const float *x, int columns, int channels, int size, int stride, int filters,
    const float *kernel, const float *bias, float *patches, float *y, int to_rows, int to_columns)
{
    for (int r = 0; r < to_rows; r++, x += stride * columns * channels, y += to_columns * filters) {
        {{ name }}_patch_row(x, columns, channels, size, stride, to_columns, patches);
        {{ name }}_dense(patches, to_columns, size * size * channels, filters, kernel, bias, y);
    }
}

{% endif %}
{% if "layer_norm" in kinds %}
/* The sum of x (count), in eight parts, which do not wait for each other. */
static float {{ name }}_sum(const float *x, int count)
{
    float part[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    int i = 0;
    for (; i + 8 <= count; i += 8)
        for (int j = 0; j < 8; j++) part[j] += x[i + j];
    for (; i < count; i++) part[0] += x[i];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

/* y (rows, n) = (x - mean) / sqrt(variance + epsilon) * gamma (n) + beta (n), row by row. */
static void {{ name }}_layer_norm(const float *x, int rows, int n, const float *gamma, const float *beta,
    float epsilon, float *y)
{
    for (int r = 0; r < rows; r++, x += n, y += n) {
        const float mean = {{ name }}_sum(x, n) / (float)n;
        for (int c = 0; c < n; c++) y[c] = (x[c] - mean) * (x[c] - mean);
        const float scale = 1.0f / sqrtf({{ name }}_sum(y, n) / (float)n + epsilon);
        for (int c = 0; c < n; c++) y[c] = (x[c] - mean) * scale * gamma[c] + beta[c];
    }
}

{% endif %}
{% if activations|reject("in", ["relu", "leaky_relu"])|list %}
/* x (32) = e to the x, to 3e-7 of it: 2 to a whole number times a polynomial. Loops
 * over 32 numbers without branches become vectors, which a call of expf does not. Beyond 40, x changes
 * none of the functions below. */
static inline void {{ name }}_exp_block(float *x)
{
    for (int j = 0; j < 32; j++) x[j] = x[j] > -40.0f ? x[j] : -40.0f;
    for (int j = 0; j < 32; j++) x[j] = x[j] < 40.0f ? x[j] : 40.0f;
    for (int j = 0; j < 32; j++) {
        const int32_t exponent = (int32_t)(x[j] * 1.44269504f + 127.5f); /* as a float stores it */
        const float n = (float)(exponent - 127);
        const float r = (x[j] - n * 0.693359375f) + n * 2.12194440e-4f; /* x - n ln 2, in two parts */
        const float series = 1.0f + r * (1.0f + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24
            + r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040)))))));
        const uint32_t bits = (uint32_t)exponent << 23;
        float power;
        memcpy(&power, &bits, sizeof power);
        x[j] = series * power;
    }
}

{% endif %}
{% for activation in activations %}
{% if activation == "relu" %}
/* x (32) = max(x, 0). */
static inline void {{ name }}_relu_block(float *x)
{
    for (int j = 0; j < 32; j++) x[j] = x[j] > 0.0f ? x[j] : 0.0f;
}
{% elif activation == "leaky_relu" %}
/* x (32) = x, or a fifth of it below 0. */
static inline void {{ name }}_leaky_relu_block(float *x)
{
    for (int j = 0; j < 32; j++) x[j] *= x[j] > 0.0f ? 1.0f : 0.2f;
}
{% elif activation == "silu" %}
/* x (32) = x / (1 + exp(-x)). */
static inline void {{ name }}_silu_block(float *x)
{
    float e[32];
    for (int j = 0; j < 32; j++) e[j] = -x[j];
    {{ name }}_exp_block(e);
    for (int j = 0; j < 32; j++) x[j] /= 1.0f + e[j];
}
{% elif activation == "tanh" %}
/* x (32) = the hyperbolic tangent: 2 / (1 + exp(-2 x)) - 1. */
static inline void {{ name }}_tanh_block(float *x)
{
    for (int j = 0; j < 32; j++) x[j] *= -2.0f;
    {{ name }}_exp_block(x);
    for (int j = 0; j < 32; j++) x[j] = 2.0f / (1.0f + x[j]) - 1.0f;
}
{% elif activation == "gelu_tanh" %}
/* x (32) = x / 2 * (1 + tanh(z)) with z = sqrt(2 / pi) * (x + 0.044715 x^3): x / (1 + exp(-2 z)). */
static inline void {{ name }}_gelu_tanh_block(float *x)
{
    float e[32];
    for (int j = 0; j < 32; j++) e[j] = -1.59576912f * (x[j] + 0.044715f * x[j] * x[j] * x[j]);
    {{ name }}_exp_block(e);
    for (int j = 0; j < 32; j++) x[j] /= 1.0f + e[j];
}
{% elif activation == "gelu" %}
/* x (32) = x / 2 * (1 + erf(x / sqrt(2))), which is max(x, 0) - |x| / 2 * tail with
 * tail = 1 - erf(|x| / sqrt(2)), to 1.5e-7: Abramowitz and Stegun, formula 7.1.26. */
static inline void {{ name }}_gelu_block(float *x)
{
    float t[32], tail[32];
    for (int j = 0; j < 32; j++) t[j] = 1.0f / (1.0f + 0.231641888f * fabsf(x[j]));
    for (int j = 0; j < 32; j++) tail[j] = -0.5f * x[j] * x[j];
    {{ name }}_exp_block(tail);
    for (int j = 0; j < 32; j++)
        tail[j] *= t[j] * (0.254829592f + t[j] * (-0.284496736f + t[j] * (1.421413741f
            + t[j] * (-1.453152027f + t[j] * 1.061405429f))));
    for (int j = 0; j < 32; j++) x[j] = (x[j] > 0.0f ? x[j] : 0.0f) - 0.5f * fabsf(x[j]) * tail[j];
}
{% endif %}

/* x (count) = {{ activation }}(x). */
static void {{ name }}_{{ activation }}(float *x, int count)
{
    float rest[32];
    const int whole = count - count % 32;
    memset(rest, 0, sizeof rest);
    for (int i = 0; i < whole; i += 32) {{ name }}_{{ activation }}_block(x + i);
    for (int i = whole; i < count; i++) rest[i - whole] = x[i];
    {{ name }}_{{ activation }}_block(rest);
    for (int i = whole; i < count; i++) x[i] = rest[i - whole];
}

{% endfor %}
{% if "add" in kinds %}
/* x (count) += other (count). */
static void {{ name }}_add(float *{{ NAME }}_RESTRICT x, const float *{{ NAME }}_RESTRICT other, int count)
{
    for (int i = 0; i < count; i++) x[i] += other[i];
}

{% endif %}
{% if "shift" in kinds %}
/* y (rows, columns, channels): the channels from `first` to `end` are those of x that lie `down` rows
 * and `right` columns further, and 0 where that is outside. */
static void {{ name }}_shift(const float *x, int rows, int columns, int channels, int down, int right,
    int first, int end, float *y)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++, y += channels) {
            const int inside = r + down >= 0 && r + down < rows && c + right >= 0 && c + right < columns;
            const float *from = x + ((r + down) * columns + c + right) * (inside ? channels : 0);
            for (int j = first; j < end; j++) y[j] = inside ? from[j] : 0.0f;
        }
}

{% endif %}
{% if "mean" in kinds %}
/* y (n) = the mean of the rows of x (rows, n). */
static void {{ name }}_mean(const float *x, int rows, int n, float *y)
{
    memset(y, 0, sizeof(float) * (size_t)n);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < n; c++) y[c] += x[r * n + c];
    for (int c = 0; c < n; c++) y[c] /= (float)rows;
}

{% endif %}
{% if "max_pool" in kinds %}
/* y (to_rows, to_columns, channels) = the largest in each square of x (rows, columns, channels). */
static void {{ name }}_max_pool(const float *x, int columns, int channels, int size,
    float *y, int to_rows, int to_columns)
{
    for (int r = 0; r < to_rows; r++)
        for (int c = 0; c < to_columns; c++, y += channels) {
            const float *square = x + (r * columns + c) * size * channels;
            memcpy(y, square, sizeof(float) * (size_t)channels);
            for (int i = 0; i < size * size; i++) {
                const float *from = square + (i / size * columns + i % size) * channels;
                for (int j = 0; j < channels; j++) y[j] = from[j] > y[j] ? from[j] : y[j];
            }
        }
}

{% endif %}
/* y (count) = exp(x) / the sum of exp(x); returns where the largest is. */
static int {{ name }}_softmax(const float *x, int count, float *y)
{
    int best = 0;
    float total = 0.0f;
    for (int i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    for (int i = 0; i < count; i++) total += y[i] = expf(x[i] - x[best]);
    for (int i = 0; i < count; i++) y[i] /= total;
    return best;
}

/* The weights. */

{% for array in arrays %}
static const float {{ array.name }}[{{ array.size }}] = { /* {{ array.shape }} */
{{ array.text }}
};
{% endfor %}

int {{ name }}_predict(const uint8_t *image, float *probabilities, float *scratch)
{
    {{ name }}_pixels(image, {{ NAME }}_IMAGE_BYTES, scratch + {{ plan.values[0] }});
{% for call in calls %}

    /* {{ call.comment }} */
{% for line in call.lines %}
    {{ line }}
{% endfor %}
{% endfor %}
}
{% if answers %}

/* The least probability with which the image may be a class: thresholds of validation images. */
static const float {{ name }}_least[{{ NAME }}_CLASSES] = {
{{ answers.least }}
};

int {{ name }}_may_be(const float *probabilities, uint8_t *classes)
{
    int best = 0, count = 0;
    for (int i = 1; i < {{ NAME }}_CLASSES; i++)
        if (probabilities[i] > probabilities[best]) best = i;
    for (int i = 0; i < {{ NAME }}_CLASSES; i++) {
        classes[i] = i == best || probabilities[i] >= {{ name }}_least[i];
        count += classes[i];
    }
    return count;
}

/* Whether the logarithms of the probabilities deviate enough from their mean. */
int {{ name }}_knows(const float *probabilities)
{
    float mean = 0.0f, squares = 0.0f;
    for (int i = 0; i < {{ NAME }}_CLASSES; i++)
        mean += logf(fmaxf(probabilities[i], {{ answers.smallest }})) / {{ NAME }}_CLASSES;
    for (int i = 0; i < {{ NAME }}_CLASSES; i++) {
        const float deviation = logf(fmaxf(probabilities[i], {{ answers.smallest }})) - mean;
        squares += deviation * deviation / {{ NAME }}_CLASSES;
    }
    return sqrtf(squares) >= {{ answers.least_spread }};
}
{% endif %}

#ifdef __cplusplus
}
#endif

#endif /* {{ NAME }}_IMPLEMENTATION */
