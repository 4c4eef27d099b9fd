/**
 * Puts a file of the ledger back; what lies in its place is kept. The ledger is not written: a committed unit never
 * changes, so that nobody's lock is needed, and at every moment the name leads to the old bytes or the right ones.
 *
 * **In** a file's bytes, **Out** the file durably in its place. **Knows** `disk`, `ledger`,
 * `quarantine`, `lake`, `failure`.
 */
import { dirname } from "node:path";
import { Refusal } from "../../failure.ts";
import type { LakeFile } from "../../lake.ts";
import { makeOwnFolder, syncAbove, unlessMissing } from "./disk.ts";
import { sha256 } from "./ledger.ts";
import { keep } from "./quarantine.ts";

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
  for (const folder of ["_tmp", "_ledger", dirname(path)]) await makeOwnFolder(root, folder);
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
  const kept = found === undefined
    ? null
    : await keep(root, path, found, "its bytes were not those of the ledger", now);
  await Deno.rename(`${root}/${MADE}`, `${root}/${path}`);
  await syncAbove(root, [path]);
  return kept;
}
