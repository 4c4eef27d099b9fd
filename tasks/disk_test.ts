/** The disk of the storm is a disk: it answers as the real one does, and a power cut leaves what was synced. */
import assert from "@std/assert";
import { Content, cutPower, Folder } from "./storm/disk.ts";
import { ROOT, System } from "./storm/system.ts";

/** What a program asks of a disk, and what it hears: results, and the names and codes of errors. */
async function heard(root: string): Promise<unknown[]> {
  const answers: unknown[] = [];
  const ask = async (act: () => unknown): Promise<void> => {
    try {
      answers.push(await act() ?? null);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      answers.push([error.name, "code" in error ? error.code : null]);
    }
  };
  const text = new TextEncoder();
  await ask(() => Deno.mkdir(`${root}/a`));
  await ask(() => Deno.mkdir(`${root}/a`));
  await ask(() => Deno.mkdir(`${root}/b/c`));
  await ask(() => Deno.mkdir(`${root}/b/c`, { recursive: true }));
  await ask(() => Deno.mkdir(`${root}/b/c`, { recursive: true }));
  await ask(() => Deno.openSync(`${root}/a/f`));
  await ask(() => Deno.readTextFile(`${root}/a/f`));
  await ask(() => Deno.readFile(`${root}/a`));
  await ask(() => Deno.remove(`${root}/a/f`));
  await ask(() => Deno.stat(`${root}/a/f`));
  await ask(() => Deno.link(`${root}/a/f`, `${root}/a/g`));
  await ask(() => Deno.rename(`${root}/a/f`, `${root}/a/g`));
  await ask(async () => {
    using file = await Deno.open(`${root}/a/f`, { create: true, read: true, write: true });
    await file.write(text.encode("0123456789"));
    file.seekSync(4, Deno.SeekMode.Start);
    file.writeSync(text.encode("xy"));
    const into = new Uint8Array(3);
    const read = file.readSync(into);
    file.seekSync(-2, Deno.SeekMode.Current);
    return [read, [...into], file.readSync(into), [...into], file.readSync(into), file.statSync().size];
  });
  await ask(() => Deno.readTextFileSync(`${root}/a/f`));
  await ask(() => Deno.openSync(`${root}/a/f`, { createNew: true, write: true }));
  await ask(() => Deno.linkSync(`${root}/a/f`, `${root}/a/g`));
  await ask(() => Deno.linkSync(`${root}/a/f`, `${root}/a/g`));
  await ask(() => {
    using file = Deno.openSync(`${root}/a/g`, { append: true, create: true });
    file.writeSync(text.encode("more"));
    file.truncateSync(12);
    file.syncSync();
  });
  await ask(() => Deno.readTextFile(`${root}/a/f`));
  await ask(() => Deno.rename(`${root}/a/f`, `${root}/a/h`));
  await ask(() => Array.from(Deno.readDirSync(`${root}/a`), ({ name, isFile }) => [name, isFile]).sort());
  await ask(() => Deno.readDirSync(`${root}/z`));
  await ask(() => Deno.writeTextFileSync(`${root}/a/h`, "new"));
  await ask(async () => (await Deno.lstat(`${root}/a/h`)).size);
  await ask(() => Deno.removeSync(`${root}/a/h`));
  await ask(async () => {
    using one = Deno.openSync(`${root}/a/g`, { write: true });
    using other = Deno.openSync(`${root}/a/g`, { write: true });
    const first = [one.tryLockSync(true), other.tryLockSync(true), await other.tryLock(false)];
    const waiting = other.lock(true);
    one.unlockSync();
    await waiting;
    const then = [one.tryLockSync(false), other.tryLockSync(false), one.tryLockSync(false)];
    return [first, then];
  });
  return answers;
}

Deno.test("the disk of the storm answers what the real one answers", async () => {
  const root = await Deno.makeTempDir();
  const real = await heard(root);
  await Deno.remove(root, { recursive: true });
  const system = new System({ strike: () => "pass", choose: () => 0, turns: () => 0 });
  using _installed = system.install();
  assert.deepEqual(await heard(ROOT), real);
});

Deno.test("a power cut leaves what was synced, and of the rest what a disk may have written", () => {
  const lengths = new Set<number>();
  for (let seed = 1; seed <= 200; seed++) {
    let state = seed;
    const choose = (bound: number): number => (state = (state * 48_271) % 2_147_483_647) % bound;
    const root = new Folder(), kept = new Content(), fresh = new Content();
    root.change(["kept", kept]);
    root.sync();
    kept.write(0, new Uint8Array(700).fill(1));
    kept.sync();
    kept.write(700, new Uint8Array(900).fill(2));
    root.change(["fresh", fresh]);
    fresh.write(0, new Uint8Array(10).fill(3));
    cutPower(root, choose);
    assert.ok(root.names.has("kept"));
    assert.deepEqual(kept.bytes.subarray(0, 700), new Uint8Array(700).fill(1), `seed ${seed}`);
    assert.ok(kept.bytes.subarray(700).every((byte) => byte === 0 || byte === 2));
    lengths.add(kept.bytes.length).add(root.names.has("fresh") ? -1 : -2).add(-10 - fresh.bytes.length);
  }
  // All of it and nothing of it, the name and not the name, the bytes and not the bytes, and torn in between.
  for (const length of [700, 1600, -1, -2, -10, -20]) assert.ok(lengths.has(length), `${length} never happened`);
  assert.ok(lengths.size > 8);
});
