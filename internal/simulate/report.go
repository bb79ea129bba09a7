package simulate

// Report is a replay beside what the same jobs would have cost otherwise.
type Report struct {
	Trace       Trace
	Options     Options
	Policy      *Result
	Clairvoyant Clairvoyant
}

// Compare replays the trace under the policy of the fleet and under others.
func Compare(t Trace, f Fleet, o Options) (*Report, error) {
	policy, err := Run(t, f, o)
	if err != nil {
		return nil, err
	}
	return &Report{Trace: t, Options: o, Policy: policy, Clairvoyant: foresight(t, f, o)}, nil
}
