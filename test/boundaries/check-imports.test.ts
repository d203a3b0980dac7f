import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { checkImports, FOLDERS } from './check-imports.ts';

/** A tree like ours in which every file but the last few imports what it must not. */
const TREE: Readonly<Record<string, string>> = {
  'src/kernel/clock.ts':
    "import { performance } from 'node:perf_hooks';\nexport const now = () => performance.now();\n",
  'src/sim/step.ts': "import { t } from '@colyseus/schema';\nexport const step = t;\n",
  'src/match/loop.ts': "import { step } from '../sim/step.ts';\nexport const loop = step;\n",
  'src/sessions/seat.ts': "import { log } from '../ops/log.ts';\nexport const seat = log;\n",
  'src/ops/log.ts': "import express from 'express';\nexport const log = express;\n",
  'src/adapters/disk.ts': "import type { Arena } from '../../rooms/arena.ts';\nexport type Disk = Arena;\n",
  'src/config.ts': "import '@colyseus/core';\nexport const config = 1;\n",
  'src/main.ts': "import './server.ts';\n",
  'src/server.ts': "import './adapters/disk.ts';\nimport './config.ts';\nawait import('../rooms/arena.ts');\n",
  'schema/state.ts': "import { step } from '../src/sim/step.ts';\nexport const state = step;\n",
  'rooms/arena.ts':
    "import '../src/adapters/disk.ts';\nimport fc from 'fast-check';\nimport './tag.ts';\nexport type Arena = typeof fc;\n",
  'rooms/tag.ts': "import './arena.ts';\nimport './nowhere.ts';\n",
  'clients/browser/main.ts': "import '../../src/config.ts';\nimport 'node:fs';\n",
  'loadtest/arena.ts': "import '../src/server.ts';\n",
  'loadtest/bench/tick.ts': "import '../../src/match/loop.ts';\n",
};

const EXPECTED = [
  'adapters-are-picked-by-the-root: rooms/arena.ts → src/adapters/disk.ts',
  'adapters-know-no-rooms: src/adapters/disk.ts → rooms/arena.ts',
  'browser-is-a-client: clients/browser/main.ts → fs',
  'browser-is-a-client: clients/browser/main.ts → src/config.ts',
  'config-is-read-before-anything-loads: src/config.ts → @colyseus/core',
  'everything-resolves: rooms/tag.ts → ./nowhere.ts',
  'kernel-imports-nothing: src/kernel/clock.ts → perf_hooks',
  'load-is-a-client: loadtest/arena.ts → src/server.ts',
  'main-loads-nothing-before-the-config: src/main.ts → src/server.ts',
  'match-knows-no-game: src/match/loop.ts → src/sim/step.ts',
  'no-cycles: rooms/arena.ts → rooms/tag.ts',
  'ops-stands-alone: src/ops/log.ts → express',
  'production-needs-no-development-package: rooms/arena.ts → fast-check',
  'rooms-use-ports: rooms/arena.ts → src/adapters/disk.ts',
  'schema-is-data: schema/state.ts → src/sim/step.ts',
  'sessions-stand-alone: src/sessions/seat.ts → src/ops/log.ts',
  'sim-is-pure: src/sim/step.ts → @colyseus/schema',
];

describe('the import rules', function () {
  this.timeout(60_000);

  it('hold in the project, and were checked on every folder', async () => {
    const { violations, modules } = await checkImports();
    assert.deepEqual(violations, []);
    for (const folder of FOLDERS) assert.ok(modules.get(folder)! > 0, `modules of ${folder} were read`);
  });

  it('catch each kind of violation', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hypogeum-imports-'));
    try {
      for (const [path, text] of Object.entries(TREE)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), text);
      }
      await cp('package.json', join(folder, 'package.json'));
      await cp('tsconfig.json', join(folder, 'tsconfig.json'));
      await symlink(resolve('node_modules'), join(folder, 'node_modules'));
      const { violations } = await checkImports(folder);
      assert.deepEqual(violations, EXPECTED);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
