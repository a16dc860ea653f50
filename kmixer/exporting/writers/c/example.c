/* Classifies one image: ./example IMAGE
 *
 * IMAGE is a binary {{ "PGM" if shape[2] == 1 else "PPM" }} file of {{ shape[1] }} x {{ shape[0] }} pixels, or the {{ shape[0] * shape[1] * shape[2] }} bytes alone.
 *
 *     cc -std=c99 -O3 example.c -o example -lm
 */
#include <stdio.h>

#define {{ NAME }}_IMPLEMENTATION
#include "model.h"

/* Move behind the header of a PGM or PPM file: a magic number, width, height, largest level, each
 * behind blanks or comments, and one blank. Returns 0 where it is another size or kind. */
static int skip_header(FILE *file)
{
    const int expected[3] = {{ '{' }}{{ NAME }}_IMAGE_COLUMNS, {{ NAME }}_IMAGE_ROWS, 255};
    int letter;
    if (fgetc(file) != 'P' || fgetc(file) != ({{ NAME }}_IMAGE_CHANNELS == 1 ? '5' : '6')) return 0;
    for (int i = 0; i < 3; i++) {
        int number = 0;
        while ((letter = fgetc(file)) == ' ' || letter == '\n' || letter == '\t' || letter == '\r' || letter == '#')
            if (letter == '#')
                while ((letter = fgetc(file)) != '\n' && letter != EOF) {}
        for (; letter >= '0' && letter <= '9' && number < 100000; letter = fgetc(file)) number = 10 * number + letter - '0';
        if (number != expected[i]) return 0;
    }
    return 1;
}

static int read_image(const char *path, uint8_t *image)
{
    FILE *file = fopen(path, "rb");
    int whole = 0;
    if (file == NULL) return 0;
    if (fseek(file, 0, SEEK_END) == 0) {
        const int bare = ftell(file) == {{ NAME }}_IMAGE_BYTES;
        rewind(file);
        whole = (bare || skip_header(file)) && fread(image, 1, {{ NAME }}_IMAGE_BYTES, file) == {{ NAME }}_IMAGE_BYTES;
    }
    fclose(file);
    return whole;
}

int main(int count, char **words)
{
    static uint8_t image[{{ NAME }}_IMAGE_BYTES];
    static float scratch[{{ NAME }}_SCRATCH_BYTES / sizeof(float)];
    static float probabilities[{{ NAME }}_CLASSES];

    if (count != 2 || !read_image(words[1], image)) {
        fprintf(stderr, "expected one file: a binary {{ "PGM" if shape[2] == 1 else "PPM" }} of %d x %d pixels, or %d bytes\n",
            {{ NAME }}_IMAGE_COLUMNS, {{ NAME }}_IMAGE_ROWS, {{ NAME }}_IMAGE_BYTES);
        return 1;
    }
    const int best = {{ name }}_predict(image, probabilities, scratch);
    printf("%s\n", {{ name }}_class_names[best]);
    fprintf(stderr, "probability %.4f\n", (double)probabilities[best]);
{% if answers %}
    if ({{ name }}_knows(probabilities)) {
        uint8_t classes[{{ NAME }}_CLASSES];
        {{ name }}_may_be(probabilities, classes);
        fprintf(stderr, "it may be ({{ answers.percent }} %%):");
        for (int i = 0; i < {{ NAME }}_CLASSES; i++)
            if (classes[i]) fprintf(stderr, " %s;", {{ name }}_class_names[i]);
        fprintf(stderr, "\n");
    } else
        fprintf(stderr, "I do not know this\n");
{% endif %}
    return 0;
}
