class WeChatClientException(Exception):
    def __init__(self, errcode, errmsg, client=None, request=None, response=None):
        super().__init__(f"Error code: {errcode}, message: {errmsg}")
        self.errcode, self.errmsg = errcode, errmsg
