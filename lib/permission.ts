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
  readonly sys: string[];
}

/** The permissions of a stage's Worker: no environment, run, ffi or import, and nothing that its URLs do not name. */
export function permissionsOf(stage: Stage, setting: Setting): Deno.PermissionOptionsObject {
  const grant: Grant = { net: [], read: [], write: [], sys: [] };
  const isLooking = "inspect" in stage && !stage.changes?.(setting.values as never);
  for (const url of [setting.transport, setting.to]) if (url !== null) allow(url, grant);
  if (stage.needs.includes("hot")) allow(setting.hot, grant);
  if (stage.needs.includes("lake")) allow(setting.lake, grant);
  grant.net.push(...setting.hosts ?? []);
  const files = stage.files?.(setting.values as never);
  grant.read.push(...files?.read ?? []);
  grant.write.push(...files?.write ?? []);
  grant.sys.push(...stage.sys ?? []);
  const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
  return {
    net: unique(grant.net),
    read: unique(grant.read),
    // An inspection changes nothing, unless it says so.
    write: isLooking ? [] : unique(grant.write),
    env: false,
    sys: unique(grant.sys),
    run: false,
    ffi: false,
  };
}

/** The variables that a stage is handed, since it has no environment of its own: the secrets of its own doors. */
export function variablesOf(stage: Stage, setting: Omit<Setting, "env">): readonly string[] {
  const urls = [setting.transport, setting.to ?? "", stage.needs.includes("hot") ? setting.hot : ""];
  return Object.entries(VARIABLES).flatMap(([scheme, names]) =>
    urls.some((url) => url.startsWith(`${scheme}:`)) ? names : []
  );
}
const VARIABLES = {
  kafka: ["TAPEDECK_KAFKA_USER", "TAPEDECK_KAFKA_PASSWORD"],
  postgres: ["TAPEDECK_POSTGRES_PASSWORD"],
} as const;

/** The folders that a stage's URLs name, which must be durable before it writes into them: it may not look above them. */
export function foldersOf(stage: Stage, setting: Setting): readonly string[] {
  const urls = [
    ...[setting.transport, ...(setting.to === null ? [] : [setting.to])].filter((url) => url.startsWith("log:")),
    ...(stage.needs.includes("lake") && setting.lake.startsWith("file:") ? [setting.lake] : []),
  ];
  const file = stage.needs.includes("hot") ? /^sqlite:(?!\/\/)(.+)/s.exec(setting.hot)?.[1] : undefined;
  return [
    ...urls.map((url) => resolve(url.slice(url.indexOf(":") + 1).split("?", 1)[0]!)),
    ...(file === undefined ? [] : [dirname(resolve(file))]),
  ];
}

function allow(url: string, grant: Grant): void {
  const [rest = ""] = url.slice(url.indexOf(":") + 1).split("?", 1);
  switch (url.slice(0, url.indexOf(":"))) {
    case "log":
      grant.read.push(resolve(rest));
      grant.write.push(resolve(rest));
      break;
    case "sqlite":
      // The file alone: SQLite makes its journals beside it by itself, and asks for nothing.
      grant.read.push(resolve(rest));
      grant.write.push(resolve(rest));
      break;
    case "file":
      // duckdb-wasm asks for its database in memory by this name, and reads its own module.
      grant.read.push(resolve(rest), ":memory:", wasmFolder());
      grant.write.push(resolve(rest));
      grant.sys.push("cpus");
      break;
    case "kafka":
      grant.net.push(...hostsOf(url, 9092));
      grant.read.push(platformaticFolder());
      break;
    case "postgres":
      grant.net.push(...hostsOf(url, 5432));
      break;
  }
}

/** What stands between the login, whatever its password holds, and the path. What is no host is for its door to refuse. */
function hostsOf(url: string, port: number): string[] {
  const [authority = ""] = url.replace(/^\w+:\/\/(?:.*@)?/s, "").split(/[/?]/, 1);
  const hosts = authority.split(",").map((host) => /:\d+$/.test(host) ? host : `${host}:${port}`);
  return hosts.filter((host) => URL.canParse(`http://${host}`)).flatMap(namesOf);
}

/** A broker on this machine may name itself otherwise than it was named: its loopback is the same host. */
function namesOf(host: string): string[] {
  const [, own] = /^localhost:(\d+)$/.exec(host) ?? [];
  return own === undefined ? [host] : [host, `127.0.0.1:${own}`, `[::1]:${own}`];
}

function wasmFolder(): string {
  return dirname(fileURLToPath(import.meta.resolve("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm")));
}

/** The producer's packages, one of which reads a module of its own. */
function platformaticFolder(): string {
  const path = fileURLToPath(import.meta.resolve("@platformatic/kafka"));
  return path.slice(0, path.indexOf("@platformatic") + "@platformatic".length);
}
