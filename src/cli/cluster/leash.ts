/**
 * Loaded into every process of a cluster that was started from the command line: when the supervisor dies, which no
 * signal tells, the process drains as if it had been told to. Otherwise it would go on for ever, unseen.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// Alone it does not keep the process.
process.channel?.unref();
