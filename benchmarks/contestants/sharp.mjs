// sharp's part of benchmarks/compare.py: node sharp.mjs (once|each) IN OUT (thumbnails|full) WORKERS QUALITY PRESETS
// once: one decode a photo, everything from it (its best arrangement); each: one pipeline a preset (typical use).
import { createRequire } from 'node:module';
import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';

const [way, source, target, mode, workers, quality, table] = process.argv.slice(2);
const sharp = createRequire(join(process.env.PEERS, 'package.json'))('sharp');
sharp.concurrency(1); // photos run side by side: that is faster than threads within one
sharp.cache(false);
const presets = JSON.parse(table);
const options = { quality: Number(quality), progressive: true };

const fitted = (preset) => ({
  width: preset.width, height: preset.height, fit: preset.fit === 'cover' ? 'cover' : 'inside',
  withoutEnlargement: preset.fit !== 'cover',
});
const save = (image, stem, name) => image.jpeg(options).toFile(join(target, `${stem}_${name}.jpg`));
const pixels = (result) => sharp(result.data, { raw: result.info });

async function each(file, stem) {
  for (const preset of presets) await save(sharp(file).rotate().resize(fitted(preset)), stem, preset.name);
  if (mode === 'full') await save(sharp(file).rotate().keepExif(), stem, 'optimized');
}

async function once(file, stem) {
  let whole = sharp(file).rotate();
  let { width, height } = (await sharp(file).metadata()).autoOrient;
  if (mode === 'full') {
    whole = pixels(await whole.raw().toBuffer({ resolveWithObject: true }));
    await save(whole.clone(), stem, 'optimized');
  }
  // The smallest picture that every preset can be taken from.
  const need = presets.map((preset) => {
    const [x, y] = [preset.width / width, preset.height / height];
    return preset.fit === 'cover' ? Math.max(x, y) : Math.min(x, y, 1);
  });
  const factor = Math.max(...need);
  const base = await whole
    .resize({ width: Math.round(width * factor), height: Math.round(height * factor), fit: 'fill' })
    .raw().toBuffer({ resolveWithObject: true });
  for (const preset of presets) await save(pixels(base).resize(fitted(preset)), stem, preset.name);
}

const files = readdirSync(source).sort();
const work = way === 'once' ? once : each;
async function worker() {
  for (let name = files.shift(); name; name = files.shift()) await work(join(source, name), parse(name).name);
}
await Promise.all(Array.from({ length: Number(workers) }, worker));
