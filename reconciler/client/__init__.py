"""The API client: typed calls over HTTP.

Libraries that speak HTTP stop here: callers see values of the model and errors of the core. This
package never decides what to do, and never sends the key anywhere but to the API's origin.
"""

from reconciler.client.api import Api
from reconciler.client.http import Http, HttpSettings
from reconciler.client.urls import checked_base_url, is_loopback

__all__ = ["Api", "Http", "HttpSettings", "checked_base_url", "is_loopback"]
