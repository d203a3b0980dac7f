import assert from 'node:assert/strict';
import { Client, type Room as SdkRoom } from '@colyseus/sdk';
import { RedisCluster } from '../../src/adapters/redis-cluster.ts';
import { askToDrain } from '../../src/cluster/drain-requests.ts';
import { Balancer } from '../fixtures/balancer.ts';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const portOf = ({ url }: Member): number => Number(new URL(url).port);

/** As `npm run cluster -- drain` and `POST /ops/drain` do. */
async function drainByWord({ redis }: TestCluster, { processId }: Member): Promise<void> {
  const store = await RedisCluster.open({ url: redis.url, processId: 'an-operator' });
  try {
    await askToDrain(store, processId, 'an operator');
  } finally {
    await store.close();
  }
}

describe('a cluster behind its gates', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let gate: Member;
  const players: TestPlayer[] = [];
  let unmute: () => void;

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(2);
    gate = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
  });

  after(async () => {
    await Promise.all(players.map((player) => player.leave()));
    await cluster.stop();
    unmute();
  });

  async function join(through: Member, roomId?: string): Promise<TestPlayer> {
    const client = await cluster.client(through);
    const room: SdkRoom = await (roomId === undefined ? client.joinOrCreate('arena') : client.joinById(roomId));
    const player = new TestPlayer(room);
    players.push(player);
    await player.patched();
    return player;
  }

  it('lets players into one room, whichever process they reach, with an unmodified SDK', async () => {
    const first = await join(gate);
    const { roomId } = first.room;
    const owner = (await cluster.listed()).get(roomId)!.processId;
    const [home, other] = [
      cluster.members.find((m) => m.processId === owner)!,
      cluster.members.find((m) => m !== gate && m.processId !== owner)!,
    ];
    await join(home, roomId);
    await join(other, roomId);
    await join(gate, roomId);
    await until(async () => (await cluster.listed()).get(roomId)?.clients === 4, 'all to be in the one room');
    assert.equal(await gate.metric('hypogeum_gate_tunnels'), 2);
    assert.equal(await other.metric('hypogeum_gate_tunnels'), 1);
    assert.equal(await home.metric('hypogeum_gate_tunnels'), 0);
    assert.equal(await home.metric('hypogeum_players'), 4);
  });

  it('cuts what hangs on a process that was stopped, as soon as it counts as dead', async () => {
    const player = players[0]!;
    const owner = (await cluster.listed()).get(player.room.roomId)!.processId;
    const home = cluster.members.find((member) => member.processId === owner)!;
    const tunnels = await gate.metric('hypogeum_gate_tunnels');
    let drops = 0;
    player.room.onDrop(() => void drops++);
    home.kill('SIGSTOP');
    try {
      await until(() => drops > 0, 'the client to be cut off a process that says nothing', 30_000);
      const cut = async () =>
        (await gate.metric('hypogeum_gate_cut_total', '{reason="owner-died"}'))! +
        (await gate.metric('hypogeum_gate_cut_total', '{reason="owner-changed"}'))!;
      assert.equal(await cut(), tunnels);
      await until(() => player.resumes > 0, 'the client to go on at another process, while its own is stopped', 30_000);
      const { roomId } = player.room;
      await until(async () => (await cluster.listed()).get(roomId)?.processId !== owner, 'the room to be elsewhere');
      await player.patched();
    } finally {
      home.kill('SIGCONT');
    }
  });

  it('replaces gates one after another, and no player loses anything but its connection', async () => {
    const first = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    const second = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    const balancer = await Balancer.start([portOf(first), portOf(second)]);
    try {
      const client = new Client(balancer.url);
      client.auth.token = undefined as unknown as string;
      await client.auth.signInAnonymously();
      const player = new TestPlayer(await client.joinOrCreate('arena'));
      players.push(player);
      await player.patched();
      const { roomId, sessionId } = player.room;
      const avatar = await player.avatar();
      const clients = async () => (await cluster.listed()).get(roomId)?.clients;
      const together = await clients();
      for (const old of [first, second]) {
        const fresh = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
        balancer.ports.splice(balancer.ports.indexOf(portOf(old)), 1, portOf(fresh));
        const passesOn = (await old.metric('hypogeum_gate_tunnels')) === 1;
        const resumes = player.resumes;
        // As an operator does it, by a process of the cluster, and as whoever started it.
        if (old === first) await drainByWord(cluster, old);
        else old.process.child.kill('SIGTERM');
        assert.equal(await old.process.exited, 0);
        if (passesOn) await until(() => player.resumes > resumes, 'the player to come through another gate', 30_000);
        await player.patched();
      }
      assert.ok(player.resumes >= 1, 'one of the two passed the player on');
      assert.equal(player.leftWith, undefined);
      assert.deepEqual([player.room.roomId, player.room.sessionId], [roomId, sessionId]);
      assert.equal(await player.avatar(), avatar, 'the same instance');
      assert.equal(await clients(), together);
    } finally {
      await balancer.close();
    }
  });

  it('a gate says where it stands in the cluster, and that it goes', async () => {
    const leaving = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    await cluster.isWhole();
    assert.ok((await leaving.metric('hypogeum_cluster_beats_total'))! > 0);
    assert.equal(await leaving.metric('hypogeum_cluster_deaths_total'), 0);
    await drainByWord(cluster, leaving);
    assert.equal(await leaving.process.exited, 0);
    await cluster.isWhole();
  });

  it('starts a gate in a moment, and without a database', async () => {
    const { process } = await cluster.add({
      HYPOGEUM_ROLES: 'gate',
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    });
    process.child.kill('SIGTERM');
    assert.equal(await process.exited, 0);
  });
});
