/**
 * What the program asks of the disk, in order: for tests that a thing is synced before somebody builds on it, and for
 * storms that kill a process between two deeds.
 */
type Path = string | URL;

export type Deed = "write" | "sync" | "link" | "rename" | "truncate" | "remove";
/** Stands at every deed. A `before` that says `half` lets a write get no further than half of its bytes. */
export interface Watch {
  before(deed: Deed, paths: readonly string[]): "half" | void;
  after(deed: Deed, paths: readonly string[]): void;
}

/** Of files that were opened while somebody watched, which may stay open for the next. */
const pathOf = new WeakMap<Deno.FsFile, string>();

/** Has every deed of this thread watched until it is disposed of. */
export function watchDisk({ before, after }: Watch): Disposable {
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
  for (const [name, deed] of [["link", "link"], ["rename", "rename"]] as const) {
    patch(Deno, name, (original) => async (from: Path, to: Path) => {
      const paths = [String(from), String(to)];
      before(deed, paths);
      await original(from as string, to as string);
      after(deed, paths);
    });
  }
  patch(Deno, "linkSync", (original) => (from, to) => {
    before("link", [from, to]);
    original(from, to);
    after("link", [from, to]);
  });
  patch(Deno, "remove", (original) => async (path, options) => {
    before("remove", [String(path)]);
    await original(path, options);
    after("remove", [String(path)]);
  });
  const given = (deed: Deed, paths: readonly string[], bytes: unknown): unknown[] => {
    const isHalf = before(deed, paths) === "half";
    return isHalf && bytes instanceof Uint8Array ? [bytes.subarray(0, bytes.length >> 1)] : [bytes];
  };
  const prototype = Deno.FsFile.prototype;
  const asynchronous = [["write", "write"], ["sync", "sync"], ["syncData", "sync"], ["truncate", "truncate"]] as const;
  for (const [name, deed] of asynchronous) {
    patch(prototype, name, (original) =>
      async function (this: Deno.FsFile, bytes: unknown) {
        const paths = [pathOf.get(this) ?? "?"];
        const result = await (original as (...given: unknown[]) => Promise<unknown>)
          .apply(this, given(deed, paths, bytes));
        after(deed, paths);
        return result;
      } as never);
  }
  const synchronous = [
    ...[["writeSync", "write"], ["syncSync", "sync"], ["syncDataSync", "sync"], ["truncateSync", "truncate"]] as const,
  ];
  for (const [name, deed] of synchronous) {
    patch(prototype, name, (original) =>
      function (this: Deno.FsFile, bytes: unknown) {
        const paths = [pathOf.get(this) ?? "?"];
        const result = (original as (...given: unknown[]) => unknown).apply(this, given(deed, paths, bytes));
        after(deed, paths);
        return result;
      } as never);
  }
  return {
    [Symbol.dispose]: () => {
      for (const restore of kept.reverse()) restore();
    },
  };
}

/**
 * Runs `act` and gives what it did to files below `root`: `write a`, `sync a`, `link a b` …, paths relative to it. What it
 * takes away nobody builds on.
 */
export async function deedsOf(root: string, act: () => Promise<void>): Promise<string[]> {
  const deeds: string[] = [];
  const short = (path: string): string => path.startsWith(`${root}/`) ? path.slice(root.length + 1) : ".";
  using _watch = watchDisk({
    before: () => {},
    after: (deed, paths) => {
      if (deed !== "truncate" && deed !== "remove") deeds.push([deed, ...paths.map(short)].join(" "));
    },
  });
  await act();
  return deeds;
}
