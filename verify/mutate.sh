#!/usr/bin/env bash
# Weakens every ordering, leaves out every fence and every wake, one at a time and without a rebuild, and tells which models notice.
# What no model notices is an ordering that is too strong, or one that is not tested.
#   verify/mutate.sh [FILTER]      for example: verify/mutate.sh mutex::
# MODEL_SECONDS bounds each run of a model with a mutant in it (1 by default: a caught mutant is caught early).
set -euo pipefail
cd "$(dirname "$0")/.."
export MODEL_MUTATE=1 MODEL_SECONDS="${MODEL_SECONDS:-1}"
cargo verify -- --nocapture "$@" | awk -F'\t' '
    /MUTANT\t/ {
        seen[$3]++
        if ($2 == "caught" && !($3 in by)) by[$3] = $4
    }
    END {
        for (change in seen) {
            if (change in by) { caught++; printf "caught    %s  by %s\n", change, by[change] }
            else { survived++; printf "SURVIVED  %s  (%d runs)\n", change, seen[change] }
        }
        printf "%d caught, %d survived\n", caught, survived
    }' | sort
