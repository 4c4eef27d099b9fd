/**
 * What lies in a lake's folder, held against what its ledgers say. Reads only, and takes no lock.
 *
 * **In** the root, **Out** ledgers, files, damages. **Knows** `lake`, `table`.
 */
import type { Damage } from "../../lake.ts";
import { TABLE_NAMES } from "../../table.ts";
import type { UnitLine } from "./account.ts";
import { entriesOf, filesBelow, parse, unlessMissing } from "./disk.ts";
import { type Reading, readLedger, sha256 } from "./ledger.ts";

const LEDGER = ".ledger";

/** Where the ledger of a place lies. */
export const ledgerPath = (root: string, name: string): string => `${root}/_ledger/${name}${LEDGER}`;

/** What the sound part of every ledger says; `damages` tells of the rest. */
export async function readLedgers(root: string): Promise<(Reading & { readonly name: string })[]> {
  const names: string[] = [];
  for await (const entry of entriesOf(`${root}/_ledger`)) {
    if (entry.name.endsWith(LEDGER)) names.push(entry.name.slice(0, -LEDGER.length));
  }
  return await Promise.all(
    names.sort().map(async (name) => ({ ...await readLedger(ledgerPath(root, name)), name })),
  );
}

/** Every file in the folders of the tables, relative to the root. */
export async function filesOf(root: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const table of TABLE_NAMES) for await (const path of filesBelow(root, table)) found.push(path);
  return found.sort();
}

/** Everything that looks wrong; with the partition whose owner may be at work on it. */
export async function survey(root: string): Promise<{ readonly damage: Damage; readonly owner: string | null }[]> {
  const found: { damage: Damage; owner: string | null }[] = [];
  const lying = new Set(await filesOf(root));
  const origins = new Map<string, number>();
  for (const { name, holding, units, fault, torn } of await readLedgers(root)) {
    const path = `_ledger/${name}${LEDGER}`;
    origins.set(name, fault === null ? holding?.origin ?? -1 : Infinity);
    if (fault !== null) found.push({ damage: { ...fault, path }, owner: null });
    if (torn > 0) {
      const detail = `${torn} bytes of an unfinished line, which the next owner cuts off`;
      found.push({ damage: { kind: "ledger", path, detail }, owner: name });
    }
    for (const unit of units) {
      for (const damage of await damagesOf(root, unit)) found.push({ damage, owner: null });
      for (const file of unit.files) lying.delete(file.path);
    }
  }
  for (const path of lying) {
    const file = parse(path);
    const beyond = file !== null && file.first > (origins.get(file.name) ?? Infinity);
    const detail = beyond ? "a unit that was not committed, which the next owner sets aside" : "no ledger names it";
    found.push({ damage: { kind: "orphan", path, detail }, owner: beyond ? file.name : null });
  }
  return found;
}

/** What is wrong with a unit's files. */
export async function damagesOf(root: string, unit: UnitLine): Promise<Damage[]> {
  const found: Damage[] = [];
  for (const { path, bytes, sha256: wanted } of unit.files) {
    const content = await Deno.readFile(`${root}/${path}`).catch(unlessMissing);
    if (content === undefined) found.push({ kind: "missing", path, detail: `had ${bytes} bytes` });
    else if (sha256(content) !== wanted) {
      found.push({
        kind: "changed",
        path,
        detail: `has ${content.length} bytes and another hash, had ${bytes} bytes`,
      });
    }
  }
  return found;
}
