// Open water in a satellite image: the normalised difference water index, a threshold, and its area.
function ndwi(green, nir) {
  return green.map((g, i) => (g - nir[i]) / (g + nir[i] + 1e-9));
}

function reflectance(digitalNumbers, scale = 10000) {
  return digitalNumbers.map((dn) => dn / scale);
}

function waterMask(index, threshold = 0.1) {
  return index.map((value) => (value > threshold ? 1 : 0));
}

function cloudMask(blue, limit = 0.25) {
  return blue.map((value) => (value > limit ? 0 : 1));
}

function areaInHectares(mask, pixelSizeMetres) {
  const pixels = mask.reduce((sum, value) => sum + value, 0);
  return (pixels * pixelSizeMetres * pixelSizeMetres) / 10000;
}

function meanBackscatter(decibels) {
  const linear = decibels.map((db) => 10 ** (db / 10));
  return 10 * Math.log10(linear.reduce((sum, value) => sum + value, 0) / linear.length);
}
