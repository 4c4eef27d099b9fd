/**
 * What the program asks of the disk, in order: for tests that a thing is synced before somebody builds on it, which no
 * crash of a process can show.
 */
type Path = string | URL;

/** Of files that were opened in some `act`, which may stay open for the next. */
const pathOf = new WeakMap<Deno.FsFile, string>();

/** Runs `act` and gives what it did to files below `root`: `write a`, `sync a`, `link a b` …, paths relative to it. */
export async function deedsOf(root: string, act: () => Promise<void>): Promise<string[]> {
  const deeds: string[] = [];
  const short = (path: Path): string => String(path).startsWith(`${root}/`) ? String(path).slice(root.length + 1) : ".";
  const note = (deed: string, ...paths: Path[]): void => void deeds.push([deed, ...paths.map(short)].join(" "));
  const kept: (() => void)[] = [];
  const patch = <T extends object, K extends keyof T>(owner: T, name: K, make: (original: T[K]) => T[K]): void => {
    const original = owner[name];
    kept.push(() => owner[name] = original);
    owner[name] = make(original);
  };
  const opened = (file: Deno.FsFile, path: Path): Deno.FsFile => {
    pathOf.set(file, String(path));
    return file;
  };
  patch(Deno, "open", (open) => async (path, options) => opened(await open(path, options), path));
  patch(Deno, "openSync", (open) => (path, options) => opened(open(path, options), path));
  patch(Deno, "link", (link) => async (from, to) => {
    await link(from, to);
    note("link", from, to);
  });
  patch(Deno, "linkSync", (link) => (from, to) => {
    link(from, to);
    note("link", from, to);
  });
  patch(Deno, "rename", (rename) => async (from, to) => {
    await rename(from, to);
    note("rename", from, to);
  });
  const prototype = Deno.FsFile.prototype;
  for (const [name, deed] of [["write", "write"], ["sync", "sync"], ["syncData", "sync"]] as const) {
    patch(prototype, name, (original) =>
      async function (this: Deno.FsFile, ...given: unknown[]) {
        const result = await (original as (...given: unknown[]) => Promise<unknown>).apply(this, given);
        note(deed, pathOf.get(this) ?? "?");
        return result;
      } as never);
  }
  for (const [name, deed] of [["writeSync", "write"], ["syncSync", "sync"], ["syncDataSync", "sync"]] as const) {
    patch(prototype, name, (original) =>
      function (this: Deno.FsFile, ...given: unknown[]) {
        const result = (original as (...given: unknown[]) => unknown).apply(this, given);
        note(deed, pathOf.get(this) ?? "?");
        return result;
      } as never);
  }
  try {
    await act();
    return deeds;
  } finally {
    for (const restore of kept.reverse()) restore();
  }
}
