import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileReplays } from '../../src/adapters/file-replays.ts';
import { replayStoreContract } from './replay-store.contract.ts';

replayStoreContract('files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hypogeum-replays-'));
  const keep = 4;
  return {
    replays: await FileReplays.open({ folder, keep }),
    keep,
    dispose: () => rm(folder, { recursive: true }),
  };
});
