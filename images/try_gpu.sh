#!/usr/bin/env bash
# Builds the GPU image for real and imports TensorFlow in it: several GB, some ten minutes. `make image-gpu` calls it.
set -euo pipefail
BIN=${BIN:-.venv/bin}
read -r reference identity < <("$BIN/harness" image build gpu)
echo "built $reference, identity $identity"
docker image inspect --format 'size {{.Size}} bytes, label harness.tensorflow {{index .Config.Labels "harness.tensorflow"}}' "$reference"
docker run --rm --read-only --network none --cap-drop ALL --tmpfs /tmp --tmpfs /home/job --env HOME=/home/job "$reference" \
	python3 -c 'import tensorflow as tf; i = tf.sysconfig.get_build_info(); print("TensorFlow", tf.__version__, "for CUDA", i["cuda_version"], "cuDNN", i["cudnn_version"])'
