/**
 * What may not stay in its place in the lake is kept in `_quarantine/`, under a name that no reader's pattern matches: where
 * it lay, and which bytes it has, so that the same are kept once. `reasons.jsonl` there tells when and why.
 *
 * **In** a path, **Out** where its bytes are kept, durably. **Knows** `disk`, `ledger`, `lake`.
 */
import type { LakeFile } from "../../lake.ts";
import { makeOwnFolder, syncAbove, unlessMissing } from "./disk.ts";
import { sha256 } from "./ledger.ts";

const FOLDER = "_quarantine";
const nameOf = (path: string, hash: string): string => `${FOLDER}/${path.replaceAll("/", ".")}.${hash.slice(0, 16)}`;

/** A second name for what lies there, so that it is never gone; with the reason beside it. */
export async function keep(
  root: string,
  path: string,
  found: Uint8Array,
  reason: string,
  now: number,
): Promise<string> {
  const kept = nameOf(path, sha256(found));
  await makeOwnFolder(root, FOLDER);
  await Deno.link(`${root}/${path}`, `${root}/${kept}`).catch((error) => {
    // A crash came between this and the end: the same bytes are kept already.
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  using reasons = await Deno.open(`${root}/${FOLDER}/reasons.jsonl`, { create: true, append: true });
  await reasons.write(
    new TextEncoder().encode(JSON.stringify({ at: new Date(now).toISOString(), path, kept, reason }) + "\n"),
  );
  await reasons.sync();
  await syncAbove(root, [kept]);
  return kept;
}

/** Takes a file that no ledger names out of its place. The log may have lost its rows by now, so it is not removed. */
export async function setAside(root: string, path: string, now: number): Promise<void> {
  const found = await Deno.readFile(`${root}/${path}`);
  await keep(root, path, found, "no ledger named it; goes once the same bytes are committed", now);
  await Deno.remove(`${root}/${path}`);
}

/** Removes what was set aside and is now committed, byte for byte. */
export async function absorb(root: string, files: readonly LakeFile[]): Promise<void> {
  for (const { path, sha256: hash } of files) await Deno.remove(`${root}/${nameOf(path, hash)}`).catch(unlessMissing);
}
