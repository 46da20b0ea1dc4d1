#!/usr/bin/env bash
# transformers.js 4.3.1 (@huggingface/transformers on npm), Qwen2-VL's image processor, two pictures in one
# call. Needs node and npm.
#
# Guess: two pictures give two grids and twice the patches, as in the Python library.
# What happens: two of one size are taken as the two frames that every patch holds: one grid and the patches
#   of one picture come back, each half the first picture and half the second. Nothing is said. (One picture
#   is doubled for those frames.)
# Who is hurt: batches and prompts of two pictures in the browser: half the tokens, and a model that is shown a
#   blend. Call it once a picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"type": "module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @huggingface/transformers@4.3.1
cat > run.mjs <<'JS'
import { env, Qwen2VLImageProcessor, RawImage } from "@huggingface/transformers";

const picture = (grey) => new RawImage(new Uint8ClampedArray(280 * 280 * 3).fill(grey), 280, 280, 3);
const processor = new Qwen2VLImageProcessor({
  do_normalize: false, do_rescale: false, do_resize: true, do_convert_rgb: true, resample: 3,
  merge_size: 2, patch_size: 14, temporal_patch_size: 2, min_pixels: 3136, max_pixels: 1003520,
});
const made = async (...pictures) => {
  const { image_grid_thw: grid, pixel_values: pixels } = await processor(pictures);
  const values = [...new Set(pixels.data)].sort((one, other) => one - other);
  const grids = grid.tolist().map((row) => row.map(Number));
  return JSON.stringify({ grids, patches: pixels.dims[0], values });
};
const one = await made(picture(10));
const two = await made(picture(10), picture(200));
console.log(`transformers.js ${env.version}: a picture of grey 10: ${one}`);
console.log(`with one of grey 200: ${two}`);
const right = one === '{"grids":[[1,20,20]],"patches":400,"values":[10]}'
  && two === '{"grids":[[1,20,20]],"patches":400,"values":[10,200]}';
process.exit(right ? 0 : 1);
JS
node run.mjs
