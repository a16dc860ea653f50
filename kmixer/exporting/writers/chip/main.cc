// Runs the test vectors and compares every byte that comes out. Written by kmixer.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "model_data.h"
#include "model_operators.h"
#include "test_vectors.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
// More than enough for the plain kernels with 64-bit pointers. Others may have buffers of their own.
constexpr int kArenaBytes = kModelArenaBytes + kModelPlanBytes;
alignas(16) uint8_t arena[kArenaBytes];
}  // namespace

int main() {
  ModelOpResolver resolver;
  if (RegisterModelOperators(resolver) != kTfLiteOk) {
    std::printf("the operators could not be registered\n");
    return 1;
  }
  tflite::MicroInterpreter interpreter(tflite::GetModel(kModelData), resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    std::printf("the model does not fit into %d bytes\n", kArenaBytes);
    return 1;
  }
  int wrong = 0;
  for (int i = 0; i < kTestVectors; ++i) {
    std::memcpy(interpreter.input(0)->data.int8, kTestInputs[i], kModelInputs);
    if (interpreter.Invoke() != kTfLiteOk) return 1;
    const int8_t* output = interpreter.output(0)->data.int8;
    int best = 0;
    for (int c = 1; c < kModelClasses; ++c) {
      if (output[c] > output[best]) best = c;
    }
    const bool same = std::memcmp(output, kTestOutputs[i], kModelClasses) == 0;
    if (!same) ++wrong;
    std::printf("%d: %s, %d / 256%s\n", i, kModelLabels[best], output[best] + 128,
                same ? "" : ", not as expected");
  }
  std::printf("%d of %d as expected; %u bytes of the arena used\n", kTestVectors - wrong,
              kTestVectors, static_cast<unsigned>(interpreter.arena_used_bytes()));
  return wrong == 0 ? 0 : 1;
}
