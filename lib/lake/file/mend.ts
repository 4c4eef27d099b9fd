/**
 * Puts a file of the ledger back. What lies in its place is kept in `_quarantine/`, under a name that no reader's pattern
 * matches, and `reasons.jsonl` there tells where it lay. The ledger is not written: a committed unit never changes, so
 * that nobody's lock is needed, and at every moment the name leads to the old bytes or the right ones.
 *
 * **In** a file's bytes, **Out** the file durably in its place. **Knows** `disk`, `ledger`, `lake`, `failure`.
 */
import { dirname } from "node:path";
import { Refusal } from "../../failure.ts";
import type { LakeFile } from "../../lake.ts";
import { makeFolder, syncAbove, unlessMissing } from "./disk.ts";
import { sha256 } from "./ledger.ts";

const KEPT = "_quarantine";
const MADE = "_tmp/mend.tmp";

/**
 * Gives the file its bytes again, and says where the ones that lay there are kept; null where none did.
 * @throws {Refusal} when the bytes are not those of the ledger
 */
export async function restore(root: string, file: LakeFile, bytes: Uint8Array, now: number): Promise<string | null> {
  const { path } = file;
  if (sha256(bytes) !== file.sha256) {
    throw new Refusal(
      `Cannot write "${path}" again: the log's rows give other bytes than were committed, must give the ledger's hash`,
    );
  }
  for (const folder of ["_tmp", "_ledger", KEPT, dirname(path)]) await makeFolder(root, folder);
  // One at a time, so that the second finds what the first has done.
  using lock = await Deno.open(`${root}/_ledger/mend.lock`, { create: true, write: true });
  await lock.lock(true);
  const found = await Deno.readFile(`${root}/${path}`).catch(unlessMissing);
  if (found !== undefined && sha256(found) === file.sha256) return null;
  {
    using made = await Deno.open(`${root}/${MADE}`, { create: true, truncate: true, write: true });
    for (let done = 0; done < bytes.length;) done += await made.write(bytes.subarray(done));
    await made.sync();
  }
  const kept = found === undefined ? null : await keep(root, path, found, now);
  await Deno.rename(`${root}/${MADE}`, `${root}/${path}`);
  await syncAbove(root, [path]);
  return kept;
}

/** A second name for what lies there, so that it is never gone; with the reason beside it. */
async function keep(root: string, path: string, found: Uint8Array, now: number): Promise<string> {
  const kept = `${KEPT}/${path.replaceAll("/", ".")}.${sha256(found).slice(0, 16)}`;
  await Deno.link(`${root}/${path}`, `${root}/${kept}`).catch((error) => {
    // A crash came between this and the end: the same bytes are kept already.
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  using reasons = await Deno.open(`${root}/${KEPT}/reasons.jsonl`, { create: true, append: true });
  const reason = { at: new Date(now).toISOString(), path, kept, reason: "its bytes were not those of the ledger" };
  await reasons.write(new TextEncoder().encode(JSON.stringify(reason) + "\n"));
  await reasons.sync();
  await syncAbove(root, [kept]);
  return kept;
}
