// Command chaos tries to make the daemon lose something.
//
// It runs the real scaler binary as a child process against an in-memory Gitea
// and a container engine or a Swarm of one node, keeps jobs coming, and kills the
// daemon with SIGKILL again and again: at random instants, and at each named step
// of a runner's life, before the step is carried out, after it with the answer
// lost, and just after the answer. Meanwhile requests to Gitea fail in every way that a server
// has, and the engine goes away and comes back. The configuration may be edited all
// the while: good edits must be taken over, bad ones must change nothing and be
// reported. In the end every job must have succeeded, nothing of the daemon's may
// be left anywhere, and what belongs to others must be as it was.
//
// All randomness comes from the seed. Timing does not, so a replay takes the
// same decisions at moments that differ a little.
package main
