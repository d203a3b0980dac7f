import assert from 'node:assert/strict';
import { argon2Sync } from 'node:crypto';
import { ARGON2, PasswordHasher } from '../../src/accounts/password-hasher.ts';
import { GameError } from '../../src/kernel/errors.ts';

const salt = Buffer.alloc(16, 7);
const isOverload = (error: unknown) => error instanceof GameError && error.code === 'OVERLOADED';

describe('the password hasher', () => {
  it('makes argon2id with the parameters that OWASP recommends', async () => {
    const { memoryKib: memory, passes, parallelism, hashBytes: tagLength } = ARGON2;
    assert.deepEqual([memory, passes, parallelism], [19_456, 2, 1]);
    const parameters = { message: Buffer.from('pässword'), nonce: salt, memory, passes, parallelism, tagLength };
    assert.deepEqual(await new PasswordHasher().hash('pässword', salt, 'n', false), argon2Sync('argon2id', parameters));
  });

  it('refuses what does not fit into its queue, and one network sooner than all', async () => {
    const hasher = new PasswordHasher({ queueMax: 4, queuePerNetworkMax: 2 });
    const hash = (network: string) => hasher.hash('password', salt, network, false);
    const going = [hash('a'), hash('a'), hash('a')];
    await assert.rejects(async () => hash('a'), isOverload, 'one runs, two wait');
    going.push(hash('b'), hash('c'));
    await assert.rejects(async () => hash('d'), isOverload);
    await Promise.all(going);
    assert.deepEqual([hasher.waiting, hasher.hashes], [0, 5]);
  });

  it('takes turns by network, and lets those known go first', async () => {
    const hasher = new PasswordHasher();
    const order: string[] = [];
    const hash = (name: string, network: string, isKnown = false) =>
      hasher.hash('password', salt, network, isKnown).then(() => order.push(name));
    await Promise.all([
      hash('running', 'a'),
      hash('a1', 'a'),
      hash('a2', 'a'),
      hash('a3', 'a'),
      hash('b1', 'b'),
      hash('c1', 'c', true),
    ]);
    assert.deepEqual(order, ['running', 'c1', 'a1', 'b1', 'a2', 'a3']);
  });
});
