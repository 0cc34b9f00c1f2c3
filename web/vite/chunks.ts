/** Smaller files (in bytes, not compressed) join the one that is needed by nearly the same pages: each file is a request. */
const SMALLEST = 12_000

/**
 * Which modules come together in a file. What several pages share comes in few files, by which pages need it; the words that
 * every page speaks are one, per language. Pages, and what the viewer begins with (pages/viewer/first.ts), stay by themselves.
 */
export function chunkGroups() {
  return [
    { name: (id: string) => /\/locales\/([^/]+)\/(?:common|signin)\.json$/.exec(id)?.[1]?.replace(/^/, 'words-') ?? null, priority: 2 },
    {
      name: 'shared',
      test: /[\\/](?:node_modules|src[\\/](?:api|components|composables))[\\/]/,
      minShareCount: 2,
      entriesAware: true,
      entriesAwareMergeThreshold: SMALLEST,
      priority: 1,
    },
  ]
}
