/**
 * Folders whose names survive a power cut: a name is durable once the folder above it is synced.
 *
 * **In** paths, **Out** durable folders. **Knows** nothing.
 */
import { dirname, resolve } from "node:path";

/** Makes the names in a folder durable; where folders cannot be opened, as on Windows, the system does so itself. */
export function syncFolder(path: string): void {
  if (Deno.build.os === "windows") return;
  using folder = Deno.openSync(path);
  folder.syncSync();
}

/**
 * Makes a folder, and those above it that are missing, from the top: one that is there was synced into the one above by
 * then, except the last one, if whoever made it died. So that is synced always. Nothing above `within` is touched.
 */
export function makeFolder(path: string, within = "/"): void {
  const folder = resolve(path), above = dirname(folder);
  if (folder === resolve(within)) return;
  if (!isThere(folder)) {
    makeFolder(above, within);
    Deno.mkdirSync(folder, { recursive: true });
  }
  try {
    syncFolder(above);
  } catch (error) {
    // One that is another's may be closed to us; then it was not we who made the name in it.
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
