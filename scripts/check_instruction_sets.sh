#!/bin/sh
# Tests that train, search or draw, as on other processors: their kernels round differently, and nothing may depend on it.
#   scripts/check_instruction_sets.sh [PYTEST_ARGUMENTS]
set -eu
cd "$(dirname "$0")/.."
tests="tests/search tests/training/test_golden.py tests/training/test_stage_loop.py tests/training/test_averaging.py
tests/dashboard/test_golden_screens.py tests/recipes/test_bert.py tests/recipes/test_resnet50.py
tests/recipes/test_transformer.py tests/cli/test_train.py tests/cli/test_export.py"
for isa in default avx2; do
    echo "+ ATEN_CPU_CAPABILITY=$isa, oneDNN and MKL at AVX2 or below"
    # shellcheck disable=SC2086
    ATEN_CPU_CAPABILITY=$isa ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OPENBLAS_CORETYPE=Haswell \
        pytest --numprocesses auto --dist loadscope $tests "$@"
done
