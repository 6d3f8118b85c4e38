"""(B, F, L) log mel spectrograms -> (B, T) waves: small neural vocoders, trained here, for `zoo?vocoders=…`.

`generators` are the networks, `stored` is the file that one is kept in; `ringtrue.training.vocoder` trains them.
Letters: B batch, F mel bands, L frames of `HOP` samples, T = L * HOP samples.
"""
