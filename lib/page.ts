/**
 * Whether a page can be written where the user wants it: tried before the work whose results it is to hold.
 *
 * **In** its path, **Out** nothing, or why not. **Knows** `failure`.
 */
import { Misuse, reasonOf } from "./failure.ts";

/** What a page's path looks like. */
export const PAGE = /[^/]\.html$/;

/** Opens a page for writing and leaves all as it was. @throws {Misuse} where it cannot be written */
export function tryPage(path: string): void {
  try {
    try {
      Deno.openSync(path, { write: true, createNew: true }).close();
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      Deno.openSync(path, { write: true }).close();
    }
  } catch (error) {
    const isSystems = error instanceof Deno.errors.NotCapable;
    const state = isSystems ? "it lies where only the system writes" : reasonOf(error);
    throw new Misuse(`Cannot write page "${path}": ${state}, must be a file in a folder that may be written`, {
      cause: error,
    });
  }
}
