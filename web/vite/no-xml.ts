/**
 * In place of `xmlbuilder2`, by which vtk.js reads VTK's own files: the viewer reads none of those, and the package needs
 * modules of Node that a browser has not.
 */
export function create(): never {
  throw new Error('VTK files are not read here.')
}
