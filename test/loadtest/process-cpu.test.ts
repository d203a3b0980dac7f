import assert from 'node:assert/strict';
import { parseStatTicks, processCpuMs } from '../../loadtest/driver/process-cpu.ts';
import { expandCpuList } from '../../loadtest/driver/server-process.ts';

describe('CPU accounting', () => {
  it('finds user and system time behind any command name', () => {
    const stat = '4242 (a) b (c) S 1 4242 4242 0 -1 4194560 1 2 3 4 1234 567 8 9 20 0 11 0 100 200 300';
    assert.equal(parseStatTicks(stat), 1234 + 567);
  });

  it('agrees with what the process knows of itself, to the resolution of the kernel', () => {
    const { user, system } = process.cpuUsage();
    const own = (user + system) / 1000;
    assert.ok(Math.abs(processCpuMs(process.pid) - own) < 100, `${processCpuMs(process.pid)} ms, not about ${own}`);
  });

  it('is loud about a process that is not there', () => {
    assert.throws(() => processCpuMs(2 ** 31 - 1), /ENOENT/);
  });

  it('reads lists of CPUs as the kernel writes them', () => {
    assert.deepEqual(expandCpuList('0-2,5,7-8'), [0, 1, 2, 5, 7, 8]);
    assert.deepEqual(expandCpuList('3'), [3]);
  });
});
