/* The model, what it needs, and its classes. Written by kmixer. */
#ifndef KMIXER_MODEL_DATA_H_
#define KMIXER_MODEL_DATA_H_

enum {
  kModelBytes = {{ content|length }},
  kModelArenaBytes = {{ arena }}, /* kept, as the interpreter reports it with 64-bit pointers */
  kModelPlanBytes = {{ plan }}, /* besides, at most, while it plans where tensors lie */
  kModelInputs = {{ inputs[0].size }},
  kModelClasses = {{ outputs[0].size }}
};

#ifdef __cplusplus
extern "C" {
#endif
extern const unsigned char kModelData[kModelBytes];
extern const char* const kModelLabels[kModelClasses]; /* UTF-8 */
#ifdef __cplusplus
}
#endif

#endif /* KMIXER_MODEL_DATA_H_ */
