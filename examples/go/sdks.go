package wxtokend

// GetAccessToken makes a Reader a credential.AccessTokenHandle of silenceper/wechat:
//
//	account.SetAccessTokenHandle(reader) // and a Transport, as that SDK never retries
func (r *Reader) GetAccessToken() (string, error) { return r.Token() }

// RefreshToken makes it, with Token, a core.AccessTokenServer of chanxuehong/wechat:
//
//	core.NewClient(reader, nil) // no Transport: that SDK retries by itself
//
// If there is no other token, it calls once more with the old one, and hands out what WeChat says to it.
func (r *Reader) RefreshToken(current string) (string, error) {
	if other := r.Replacement(current); other != "" {
		return other, nil
	}
	return current, nil
}

// IID01332E16DF5011E5A9D5A4DB30FED8E1 is the mark of that interface.
func (r *Reader) IID01332E16DF5011E5A9D5A4DB30FED8E1() {}

// JsTicket is a credential.JsTicketHandle of silenceper/wechat, for accounts with `tickets`:
//
//	js := account.GetJs()
//	js.SetJsTicketHandle(wxtokend.JsTicket{Reader: reader})
type JsTicket struct{ *Reader }

// GetTicket needs no token: wxtokend has fetched the ticket.
func (t JsTicket) GetTicket(string) (string, error) { return t.Ticket("jsapi") }
