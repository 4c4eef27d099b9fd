/**
 * What a stage's Worker may touch: computed from what the stage declares and the URLs that the user gave, so that a
 * parser's bug cannot read a file or reach a host that is none of its business.
 *
 * **In** a stage and its setting, **Out** Deno permissions. **Knows** `stage`.
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Setting, Stage } from "./stage.ts";

interface Grant {
  readonly net: string[];
  readonly read: string[];
  readonly write: string[];
  /** True where a client library lists the whole environment when it loads. */
  env: string[] | true;
  readonly sys: string[];
}

/** The permissions of a stage's Worker: no run, no ffi, no import, and nothing that its URLs do not name. */
export function permissionsOf(stage: Stage, setting: Setting): Deno.PermissionOptionsObject {
  const grant: Grant = { net: [], read: [], write: [], env: [], sys: [] };
  for (const url of [setting.transport, setting.to]) if (url !== null) allow(url, grant);
  if (stage.needs.includes("hot")) allow(setting.hot, grant);
  if (stage.needs.includes("lake")) allow(setting.lake, grant);
  const files = stage.files?.(setting.values as never);
  grant.read.push(...files?.read ?? []);
  grant.write.push(...files?.write ?? []);
  grant.sys.push(...stage.sys ?? []);
  const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
  return {
    net: unique(grant.net),
    read: unique(grant.read),
    write: unique(grant.write),
    env: grant.env,
    sys: unique(grant.sys),
    run: false,
    ffi: false,
  };
}

function allow(url: string, grant: Grant): void {
  const [rest = ""] = url.slice(url.indexOf(":") + 1).split("?", 1);
  switch (url.slice(0, url.indexOf(":"))) {
    case "log":
      grant.read.push(resolve(rest));
      grant.write.push(resolve(rest));
      break;
    case "sqlite":
      grant.read.push(resolve(dirname(rest)));
      grant.write.push(resolve(dirname(rest)));
      break;
    case "file":
      // duckdb-wasm asks for its database in memory by this name, and reads its own module.
      grant.read.push(resolve(rest), ":memory:", wasmFolder());
      grant.write.push(resolve(rest));
      grant.sys.push("cpus");
      break;
    case "kafka":
      grant.net.push(...hostsOf(rest, 9092));
      grant.env = true;
      grant.read.push(platformaticFolder());
      break;
    case "postgres":
      grant.net.push(...hostsOf(rest, 5432));
      if (grant.env !== true) grant.env.push("PGAPPNAME", "TAPEDECK_POSTGRES_PASSWORD");
      break;
  }
}

function hostsOf(rest: string, port: number): string[] {
  const authority = rest.replace(/^\/\//, "").split("/", 1)[0]!;
  return authority.slice(authority.lastIndexOf("@") + 1).split(",").map((host) =>
    /:\d+$/.test(host) ? host : `${host}:${port}`
  );
}

function wasmFolder(): string {
  return dirname(fileURLToPath(import.meta.resolve("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm")));
}

/** The producer's packages, one of which reads a module of its own. */
function platformaticFolder(): string {
  const path = fileURLToPath(import.meta.resolve("@platformatic/kafka"));
  return path.slice(0, path.indexOf("@platformatic") + "@platformatic".length);
}
