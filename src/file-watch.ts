/** Tells of changed files, however an editor saves them. For `npm run dev` only. */
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { join, sep } from 'node:path';

/**
 * Watches folders and what is below them. Node's own `--watch` follows files: once an editor or Git has put a new file
 * in an old one's place, which is how many save, it hears of that path no more. A folder hears of all its files.
 *
 * @param onChange called with the path of a file that appeared, changed or went, perhaps several times for one change;
 * with that of a folder that appeared or went
 * @returns ends the watch
 */
export function watchFiles(folders: readonly string[], onChange: (path: string) => void): () => void {
  const watchers = new Map<string, FSWatcher>();

  function follow(folder: string): void {
    const watcher = watch(folder, (event, name) => {
      if (name === null) return;
      const path = join(folder, name);
      // A folder that went may be back by now, as another one.
      if (event === 'rename') {
        forget(path);
        if (isFolder(path)) follow(path);
      }
      onChange(path);
    });
    watcher.on('error', () => forget(folder));
    watchers.set(folder, watcher);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) follow(join(folder, entry.name));
    }
  }

  function forget(path: string): void {
    for (const [folder, watcher] of watchers) {
      if (folder !== path && !folder.startsWith(path + sep)) continue;
      watcher.close();
      watchers.delete(folder);
    }
  }

  for (const folder of folders) follow(folder);
  return () => {
    for (const watcher of watchers.values()) watcher.close();
    watchers.clear();
  };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
