/**
 * Checks who imports whom against .dependency-cruiser.mjs: `node test/boundaries/check-imports.ts`. Exit code 1 when a
 * rule is broken, or when nothing was read where something must be: a check of nothing passes everything.
 */
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const RULES = new URL('../../.dependency-cruiser.mjs', import.meta.url).href;

/** Folders with rules, each of which must have modules. */
export const FOLDERS = ['src', 'rooms', 'schema', 'clients/browser', 'loadtest'] as const;

export interface ImportReport {
  /** `rule: from → to`, sorted. */
  readonly violations: readonly string[];
  /** Modules read, by the folder of {@link FOLDERS} they are in. */
  readonly modules: ReadonlyMap<string, number>;
}

/** @param baseDir a folder laid out like the project, with its node_modules and tsconfig.json */
export async function checkImports(
  baseDir = process.cwd(),
  folders: readonly string[] = FOLDERS,
): Promise<ImportReport> {
  const { options, ...ruleSet } = (await import(RULES)).default;
  const { output } = await cruise([...folders], { ...options, baseDir, ruleSet, validate: true }, undefined, {
    tsConfig: extractTsConfig(`${baseDir}/tsconfig.json`),
  });
  const { modules, summary } = output as ICruiseResult;
  const counts = new Map<string, number>(folders.map((folder) => [folder, 0]));
  for (const { source } of modules) {
    const folder = folders.find((name) => source.startsWith(`${name}/`));
    if (folder !== undefined) counts.set(folder, counts.get(folder)! + 1);
  }
  const violations = summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${packageOf(to)}`).sort();
  return { violations, modules: counts };
}

/** `zod` for any file within that package; other paths as they are. */
function packageOf(path: string): string {
  return /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? path;
}

if (import.meta.main) {
  const { violations, modules } = await checkImports();
  for (const violation of violations) console.error(violation);
  const empty = [...modules].filter(([, count]) => count === 0).map(([folder]) => folder);
  if (empty.length > 0) console.error(`no module was read in ${empty.join(', ')}`);
  const total = [...modules.values()].reduce((sum, count) => sum + count, 0);
  console.log(`imports: ${total} modules read, ${violations.length} violations`);
  if (violations.length > 0 || empty.length > 0) process.exitCode = 1;
}
