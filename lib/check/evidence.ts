/**
 * Evidence: every row that fails an expectation, in a Parquet file beside the report.
 *
 * **In** a SELECT of failing rows, **Out** the file's path, relative to the report. **Knows** `parquet`, `failure`.
 */
import { Misuse, reasonOf } from "../failure.ts";
import type { Views } from "../parquet.ts";

/** Where evidence goes. */
export interface Shelf {
  readonly folder: string;
  /** The folder as the report names it. */
  readonly href: string;
}

/** Characters that every file system takes in a name, and no shell or URL takes for something else. */
const UNSAFE = /[^\p{L}\p{N}._-]+/gu;

/** The folders and the file that a name leads to. No part leads to a folder above, nor hides. */
export const pathOf = (name: string): string =>
  name.split("/").map((part) => part.replace(UNSAFE, "-").replace(/^[.]+/, "-")).join("/");

/** Writes all rows and gives the file's path. @throws {Misuse} when it cannot be written */
export async function exportRows(views: Views, select: string, { folder, href }: Shelf, name: string): Promise<string> {
  const path = `${pathOf(name)}.parquet`;
  try {
    await Deno.mkdir(`${folder}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    await Deno.writeFile(`${folder}/${path}`, new Uint8Array(0));
  } catch (error) {
    throw new Misuse(
      `Cannot write evidence "${folder}/${path}": ${reasonOf(error)}, must be a folder that may be written`,
      {
        cause: error,
      },
    );
  }
  await views.copy(select, `${folder}/${path}`);
  return `${href}/${path}`;
}
