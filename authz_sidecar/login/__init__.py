"""Sign-in with OpenID Connect, and everything around it: attempts, providers, hand-over to other
hosts, sign-out. Decides who somebody is; what they may do is the policy's business."""
